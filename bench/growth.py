"""What a hundred, ten thousand and a million keys and sessions cost a request. From the root:

    .venv/bin/python -m bench.growth

Three services on databases of these sizes take turns, each once with Valkey, where callers are
remembered, and once without it, where the database is asked at each request. A ratio is the cost
among many to that among a hundred.
"""

from argparse import Namespace
from collections.abc import Callable
from contextlib import ExitStack

import psycopg

from bench.calls import VERIFY_KEY, VERIFY_TOKEN, WARM_UP_SECONDS, in_turns, measured, of_service
from bench.options import main
from bench.refresh import REFRESH, SESSIONS, WARM_UPS, chain
from bench.report import Ratio, Report, Row, say
from bench.servers import PEOPLE, Engines, Served, engines, filled, forget, service
from fluxiq.tests.postgres_server import database

FEW, SIZES = 100, (100, 10_000, 1_000_000)
AT_MOST = 1.15
REFRESHING = "POST /auth/refresh"
REMEMBERED, LOOKED_UP = "remembered", "looked up"

# So many keys, users (a tenth of them) and sessions, which nobody knows the secrets of.
PLANT = (
    """
    INSERT INTO authn_apikey (id, merchant_id, name, digest, pepper_id, hint, permissions,
        allowed_ips, created_at, last_used_address, revoked_reason)
    SELECT 'key_0' || upper(left(md5(n::text), 25)), (SELECT id FROM merchants_merchant LIMIT 1),
        'One of many', sha256(n::text::bytea), 'served-1', 'sk_live_…xxxx', '["pix:read"]', '[]',
        now(), '', ''
    FROM generate_series(1, %(count)s::int) AS n
    """,
    """
    INSERT INTO accounts_user (id, password, is_superuser, document, name, email, is_active,
        is_staff, created_at)
    SELECT 'usr_0' || upper(left(md5(n::text), 25)), '!', false, 'Z' || lpad(n::text, 13, '0'),
        'One of many', '', true, false, now()
    FROM generate_series(1, %(count)s::int / 10 + 1) AS n
    """,
    """
    WITH made AS (
        INSERT INTO token_blacklist_outstandingtoken (user_id, jti, token, created_at, expires_at)
        SELECT 'usr_0' || upper(left(md5((n / 10 + 1)::text), 25)), md5(n::text), '', now(),
            now() + interval '7 days'
        FROM generate_series(0, %(count)s::int - 1) AS n
        RETURNING id, user_id, jti
    )
    INSERT INTO authn_session (id, user_id, created_at, last_used_at, expires_at, address,
        user_agent, current_id, retired_jti, ended_reason)
    SELECT 'ses_0' || upper(left(jti, 25)), user_id, now(), now(), now() + interval '7 days', '',
        '', id, '', ''
    FROM made
    """,
)
_SETTLE = (
    "VACUUM ANALYZE authn_apikey, accounts_user, authn_session, token_blacklist_outstandingtoken",
    "CHECKPOINT",
)


def grown(stack: ExitStack, at: Engines, size: int, refreshes: int) -> tuple[Served, Served]:
    """The service on a database of that size: with Valkey, and without it.

    Half of those who call were there before the many, half came after them.
    """
    url = stack.enter_context(database(at.postgres))
    half = PEOPLE // 2
    more = refreshes // 2
    fill = f"people({half}, more_sessions={more})"
    remembering = stack.enter_context(service(url, at.valkey.url, fill=fill))
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in PLANT:
            connection.execute(statement, {"count": max(0, size - PEOPLE)})
    fill = f"people({half}, first={half}, more_sessions={more})"
    younger = filled(remembering.environment, fill)
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in _SETTLE:
            connection.execute(statement)
    cast = remembering.cast
    # One after the other, so that the refreshes of each turn are of old and new sessions alike.
    everyone = {
        name: [one for pair in zip(cast[name], younger[name], strict=True) for one in pair]
        for name in ("keys", "tokens", "refresh")
    }
    looking = stack.enter_context(service(url, "", fill=""))
    return (
        Served(remembering.urls, remembering.pid, remembering.environment, everyone),
        Served(looking.urls, looking.pid, looking.environment, everyone),
    )


def measure(options: Namespace) -> Report:
    """Verification and refreshing at each size, in turns."""
    refreshes = SESSIONS * (options.rounds + WARM_UPS)
    turns: dict[tuple[str, str, int], Callable[[int], float]] = {}
    with ExitStack() as stack:
        at = stack.enter_context(engines())
        for size in SIZES:
            say(f"  making {size:,} keys and sessions")
            remembering, looking = grown(stack, at, size, refreshes)
            for how, served in ((REMEMBERED, remembering), (LOOKED_UP, looking)):
                for name in (VERIFY_KEY, VERIFY_TOKEN):
                    turns[name, how, size] = measured(of_service(served)[name])
            tokens = remembering.cast["refresh"]
            turns[REFRESHING, "", size] = chain(
                remembering.at(REFRESH), tokens, "refresh_token", "refresh_token"
            )
        forget(at.valkey.url)
        named = {_title(*key): turn for key, turn in turns.items()}
        in_turns(named, WARM_UPS, WARM_UP_SECONDS)
        rates = in_turns(named, options.rounds, options.seconds)
    rows = []
    for name, how, size in turns:
        if size != FEW:
            few, many = rates[_title(name, how, FEW)], rates[_title(name, how, size)]
            what, reference = _title(name, how, size), f"among {FEW:,}"
            rows.append(Row(what, reference, Ratio.of(few, many), at_most=AT_MOST))
    return Report(rows, {"answers a second": rates})


def _title(name: str, how: str, size: int) -> str:
    return f"cost of {name}{', ' * bool(how)}{how}, among {size:,}"


if __name__ == "__main__":
    main("growth", measure)
