"""The staff console over a million keys and a million events: no page reads a table whole."""

import http.client
import re
import statistics
import time
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest

from fluxiq.tests.browser import SUPERUSER
from fluxiq.tests.served import NO_LIMITS, SERVERS, Service, serving

pytestmark = pytest.mark.proof

MANY = 1_000_000
MERCHANTS = 20_000
ROUNDS = 5
# Of each table, in a round of all pages: enough to find the first thousand of what is counted up to
# that, where the planner finds them soonest by reading on from the beginning.
MAX_ROWS = 20_000
MAX_SECONDS = 1.0  # for the median of any page; on two cores that others use too

_PLANT = (
    # Ids whose first ten characters tell a time within the last thirty days, as a ULID's do.
    """
    CREATE FUNCTION planted_id(prefix text, n bigint, many bigint) RETURNS text VOLATILE AS $$
    DECLARE
        digits text := '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
        ms bigint := extract(epoch FROM now()) * 1000 - n * 2592000000 / many;
        told text := '';
    BEGIN
        FOR i IN 0..9 LOOP
            told := substr(digits, 1 + (ms >> (5 * i) & 31)::int, 1) || told;
        END LOOP;
        RETURN prefix || '_' || told || upper(left(md5(n::text), 16));
    END $$ LANGUAGE plpgsql
    """,
    """
    INSERT INTO merchants_merchant (id, name, document, status, created_at)
    SELECT planted_id('mer', n, %(many)s), 'Loja ' || n, lpad(n::text, 14, '0'), 'active', now()
    FROM generate_series(1, %(merchants)s) AS n
    """,
    """
    INSERT INTO authn_apikey (id, merchant_id, name, digest, pepper_id, hint, permissions,
        allowed_ips, created_at, last_used_at, last_used_address, expires_at, revoked_at,
        revoked_reason)
    SELECT planted_id('key', n, %(many)s), m.ids[1 + n %% array_length(m.ids, 1)], 'Chave ' || n,
        sha256(n::text::bytea), CASE WHEN n %% 1000 = 0 THEN 'older' ELSE 'served-1' END,
        'sk_live_' || lpad(n::text, 7, '0'), '["pix:read"]', '[]', now() - interval '200 days',
        CASE n %% 10 WHEN 0 THEN NULL WHEN 1 THEN now() - interval '100 days' ELSE now() END, '',
        CASE WHEN n %% 500 = 0 THEN now() + interval '9 days' END,
        CASE WHEN n %% 7 = 0 THEN now() - interval '1 day' END, ''
    FROM generate_series(1, %(many)s) AS n,
        (SELECT array_agg(id) AS ids FROM merchants_merchant) AS m
    """,
    """
    INSERT INTO authn_apikeyusage (api_key_id, hour, admitted, refused, limited)
    SELECT k.id, date_trunc('hour', now()) - (h.n || ' hours')::interval, 5, 1, 0
    FROM (SELECT id FROM authn_apikey ORDER BY id LIMIT %(many)s / 720) AS k,
        generate_series(0, 719) AS h(n)
    """,
    """
    INSERT INTO authn_usagetotal (hour, admitted, refused, limited)
    SELECT hour, sum(admitted), sum(refused), sum(limited) FROM authn_apikeyusage GROUP BY hour
    ON CONFLICT (hour) DO NOTHING
    """,
    """
    INSERT INTO audit_auditevent (id, kind, at, actor_kind, actor_id, merchant_id, object_id,
        address, user_agent, request_id, before, after)
    SELECT planted_id('evt', n, %(many)s),
        CASE WHEN n %% 2 = 0 THEN 'session.started' ELSE 'sign_in.failed' END,
        now() - interval '30 days' * (n::float / %(many)s), 'user', '', '', '', '', '', '',
        '{}', CASE WHEN n %% 2 = 0 THEN '{}' ELSE '{"count": 3}' END::jsonb
    FROM generate_series(1, %(many)s) AS n
    """,
    """
    INSERT INTO audit_tallyhour (kind, hour, count)
    SELECT kind, date_trunc('hour', at), sum((after->>'count')::int) FROM audit_auditevent
    WHERE kind = 'sign_in.failed' GROUP BY 1, 2
    """,
)
STATES = ("live", "in+grace", "expired", "revoked")
USES = ("never", "idle", "expiring", "pepper")
TABLES = ("authn_apikey", "authn_apikeyusage", "audit_auditevent")


class Staff:
    """A superuser's browser, as far as pages and forms go."""

    def __init__(self, service: Service) -> None:
        self._port = service.gunicorn.port
        self._cookies: dict[str, str] = {}
        page = self.get("login/")
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert found is not None
        document, password = SUPERUSER
        fields = {
            "username": document,
            "password": password,
            "csrfmiddlewaretoken": found[1],
            "next": "/admin/",
        }
        self._ask("POST", "login/", urlencode(fields), expect=302)

    def get(self, path: str) -> str:
        """The text of a page."""
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, body: str = "", expect: int = 200) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in self._cookies.items())}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, f"/admin/{path}", body or None, headers)
        response = connection.getresponse()
        text = response.read().decode()
        assert response.status == expect, (path, response.status)
        for name, value in response.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self._cookies[key] = rest.partition(";")[0]
        connection.close()
        return text


def rows_read_whole(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """How many rows sequential scans have read, of each large table."""
    time.sleep(1.5)  # servers tell their figures within a second of falling idle
    connection.execute("SELECT pg_stat_clear_snapshot()")
    found = connection.execute(
        "SELECT relname, seq_tup_read FROM pg_stat_user_tables WHERE relname = ANY(%s)",
        [list(TABLES)],
    )
    return dict(found.fetchall())


def test_no_page_reads_a_table_of_a_million_rows_whole() -> None:
    with serving(SERVERS, NO_LIMITS, workers=1) as service:
        database = service.environment["DATABASE_URL"]
        with psycopg.connect(database, autocommit=True) as connection:
            for statement in _PLANT:
                connection.execute(statement, {"many": MANY, "merchants": MERCHANTS})
            connection.execute("VACUUM ANALYZE")
            key, merchant = connection.execute(
                "SELECT id, merchant_id FROM authn_apikey WHERE name = 'Chave 777777'"
                " OR name = 'Chave 7777' ORDER BY name DESC LIMIT 1"
            ).fetchone() or ("", "")
            staff = Staff(service)
            pages = {
                "home": "",
                "keys": "authn/apikey/",
                "keys, page 200": "authn/apikey/?p=200",
                **{f"keys, {state}": f"authn/apikey/?state={state}" for state in STATES},
                **{f"keys, {use}": f"authn/apikey/?use={use}" for use in USES},
                "keys by name": "authn/apikey/?q=Chave+7777",
                "keys by a name that all have": "authn/apikey/?q=Chave",
                "keys by a name that none has": "authn/apikey/?q=Nenhuma",
                "keys of a merchant by its name": "authn/apikey/?q=Loja+777",
                "keys of a merchant": f"authn/apikey/?merchant={merchant}",
                "keys, services": "authn/apikey/?owner=service",
                "keys made today": "authn/apikey/?made=day",
                "a key": f"authn/apikey/{key}/change/",
                "a merchant": f"merchants/merchant/{merchant}/change/",
                "merchants by name": "merchants/merchant/?q=Loja+777",
                "suspended merchants": "merchants/merchant/?status__exact=suspended",
                "events": "audit/auditevent/",
                "events of a kind": "audit/auditevent/?kind__exact=api_key.revoked",
                "events of an object": f"audit/auditevent/?q={key}",
            }
            for path in pages.values():  # once for what a connection does at first
                staff.get(path)
            before = rows_read_whole(connection)
            took = {}
            for name, path in pages.items():
                times = []
                for _ in range(ROUNDS):
                    started = time.perf_counter()
                    staff.get(path)
                    times.append(time.perf_counter() - started)
                took[name] = statistics.median(times)
                print(f"{name}: {took[name] * 1000:.0f} ms")
            read = rows_read_whole(connection)
    whole = {table: (read[table] - before[table]) // ROUNDS for table in TABLES}
    print(f"read without an index, a round of all pages: {whole}")
    assert max(whole.values()) < MAX_ROWS, whole
    assert max(took.values()) < MAX_SECONDS, took
