"""A million dead sessions are purged while people refresh, and they do not notice."""

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import psycopg
import pytest

from fluxiq.tests.backstage import Backstage
from fluxiq.tests.engines import PROJECT
from fluxiq.tests.served import NO_LIMITS, SERVERS, Service, serving

pytestmark = pytest.mark.proof

DEAD = 1_000_000
REFRESHES = 600

# Written as the service writes them: a retired and blacklisted refresh token for each.
_PLANT = """
WITH owner AS (SELECT id FROM accounts_user LIMIT 1),
tokens AS (
    INSERT INTO token_blacklist_outstandingtoken (user_id, jti, token, created_at, expires_at)
    SELECT owner.id, md5(n::text), '', now() - interval '70 days', now() - interval '63 days'
    FROM owner, generate_series(1, %(dead)s) AS n
    RETURNING id, jti
),
blacklisted AS (
    INSERT INTO token_blacklist_blacklistedtoken (token_id, blacklisted_at)
    SELECT id, now() FROM tokens
)
INSERT INTO authn_session (id, user_id, created_at, last_used_at, expires_at, address, user_agent,
    current_id, retired_jti, rotated_at, ended_at, ended_reason)
SELECT 'ses_' || upper(left(md5(tokens.jti), 26)), owner.id, now() - interval '70 days',
    now() - interval '70 days', now() - interval '63 days', '192.0.2.1', 'a browser', tokens.id,
    '', NULL, now() - interval '65 days', 'logged out'
FROM tokens, owner
"""


def refreshed(service: Service, token: str) -> tuple[str, float]:
    """The successor of a refresh token, and how many milliseconds it took."""
    started = time.perf_counter()
    answer = service.call("POST", "/api/v1/auth/refresh", None, {"refresh_token": token})
    spent = (time.perf_counter() - started) * 1000
    assert answer.status == 200, answer
    successor: str = answer.json["data"]["refresh_token"]
    return successor, spent


def timed(service: Service, token: str, go_on: Any) -> tuple[str, list[float]]:
    """Refresh again and again for as long as `go_on(count)`: the last token, and the times."""
    times: list[float] = []
    for count in itertools.count():
        if not go_on(count):
            return token, times
        token, spent = refreshed(service, token)
        times.append(spent)
    raise AssertionError("unreachable")


def told(times: list[float]) -> str:
    """The median and the 99th percentile, in milliseconds."""
    return f"{statistics.median(times):.1f} / {statistics.quantiles(times, n=100)[98]:.1f} ms"


def test_a_purge_of_a_million_leaves_refreshes_unharmed() -> None:
    with serving(SERVERS, NO_LIMITS, workers=2) as service:
        with Backstage(service.environment) as backstage:
            token = backstage.do("member")["refresh_token"]
        token, alone = timed(service, token, lambda count: count < REFRESHES)
        with psycopg.connect(service.environment["DATABASE_URL"], autocommit=True) as connection:
            connection.execute(_PLANT, {"dead": DEAD})
            connection.execute("ANALYZE")
            token, among = timed(service, token, lambda count: count < REFRESHES)
            started = time.monotonic()
            purge = subprocess.Popen(
                [sys.executable, "manage.py", "purge_expired", "--json"],
                cwd=PROJECT,
                env={**os.environ, **service.environment},
                stdout=subprocess.PIPE,
                text=True,
            )
            token, during = timed(service, token, lambda count: purge.poll() is None)
            took = time.monotonic() - started
            purged = json.loads(purge.communicate()[0])
            left = connection.execute("SELECT count(*) FROM authn_session").fetchone()
        token, after = timed(service, token, lambda count: count < REFRESHES)
    print(
        f"\nrefresh p50 / p99: alone {told(alone)}, among {DEAD:,} dead {told(among)},"
        f" while they are purged {told(during)}, after {told(after)};"
        f" purged {purged} in {took:.0f} s"
    )
    assert purged["sessions"] == DEAD
    assert purged["tokens"] >= DEAD
    assert left is not None
    assert left[0] < 10  # those of the demo and of this test
