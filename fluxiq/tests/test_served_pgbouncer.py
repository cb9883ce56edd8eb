"""The whole service through PgBouncer in transaction mode: nothing leans on one connection."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from fluxiq.tests.backstage import Backstage, sealed
from fluxiq.tests.engines import require
from fluxiq.tests.gunicorn_server import Gunicorn
from fluxiq.tests.pooler import Pooler, pgbouncer
from fluxiq.tests.postgres_server import database, shared_postgres
from fluxiq.tests.served import NO_LIMITS, SECRETS, Service, manage
from fluxiq.tests.valkey_server import start_valkey

pytestmark = pytest.mark.engine

API = "/api/v1"
VERIFY = f"{API}/auth/verify?permission=accounts:read"
CONNECTIONS = 3  # to PostgreSQL, for two workers that hold up to ten
CLIENTS = 8


@dataclass
class Pooled:
    """The service, PgBouncer before its database, and that database's own URL."""

    service: Service
    pooler: Pooler
    direct: str


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pooled]:
    """Two workers; migrated directly, as docs/operate.md has it."""
    postgres, valkey = require(shared_postgres), require(start_valkey)
    counters = tmp_path_factory.mktemp("counters") / "own" / "counters.sqlite3"
    with database(postgres) as direct, pgbouncer(direct, size=CONNECTIONS) as pooler:
        environment = {
            **SECRETS,
            **NO_LIMITS,
            "DATABASE_URL": pooler.url,
            "DATABASE_TRANSACTION_POOLING": "on",
            "REDIS_URL": valkey.url,
            "COUNTERS_PATH": str(counters),
        }
        try:
            manage({**environment, "DATABASE_URL": direct}, "migrate", "--no-input")
            demo = json.loads(manage(environment, "seed_demo", "--json"))
            with Gunicorn(environment, workers=2) as gunicorn:
                yield Pooled(Service(gunicorn, environment, demo), pooler, direct)
        finally:
            valkey.stop()


@pytest.fixture(scope="module")
def stage(pooled: Pooled) -> Iterator[Backstage]:
    """A process beside the workers, through PgBouncer like them."""
    with Backstage(pooled.service.environment) as process:
        yield process


def test_people_sign_in_refresh_and_read_over_shared_connections(pooled: Pooled) -> None:
    service = pooled.service

    def visit(number: int) -> list[int]:
        pair = service.sign_in(number % 3)
        body = {"refresh_token": pair["refresh_token"]}
        renewed = service.call("POST", f"{API}/auth/refresh", None, body)
        token = renewed.json["data"]["access_token"]
        paths = (f"{API}/auth/me", f"{API}/accounts", f"{API}/auth/sessions", VERIFY)
        return [renewed.status, *(service.call("GET", path, token).status for path in paths)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = Counter(status for visit in pool.map(visit, range(16)) for status in visit)
    assert statuses == {200: 80}
    servers = [row for row in pooled.pooler.show("SERVERS") if row["database"] != "pgbouncer"]
    assert 1 < len(servers) <= CONNECTIONS
    clients = [row for row in pooled.pooler.show("CLIENTS") if row["database"] != "pgbouncer"]
    assert len(clients) > CONNECTIONS, "the connections were not shared"


def test_a_key_that_is_looked_up_at_each_request_is_found_each_time(
    pooled: Pooled, stage: Backstage
) -> None:
    """By the read that is a prepared statement without a pooler; bound keys are not remembered."""
    bound = stage.do("api_key", allowed_ips=["127.0.0.1/32"])
    free = stage.do("api_key")
    secrets = [bound["secret"], free["secret"]] * 40

    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = Counter(
            pool.map(lambda secret: pooled.service.call("GET", VERIFY, secret).status, secrets)
        )
    assert statuses == {200: 80}


def test_a_suspended_merchant_is_forgotten_by_rows_that_are_read_in_chunks(
    pooled: Pooled, stage: Backstage
) -> None:
    for _ in range(3):
        key = stage.do("api_key")
        assert {pooled.service.call("GET", VERIFY, key["secret"]).status for _ in range(6)} == {200}
        stage.do("suspend", merchant=key["merchant"])
        after = {pooled.service.call("GET", VERIFY, key["secret"]).status for _ in range(6)}
        assert after == {401}


def test_many_sealers_make_one_unbroken_chain(pooled: Pooled, stage: Backstage) -> None:
    """Who seals holds an advisory lock of its transaction, which ends with it on any connection."""
    with Backstage(pooled.service.environment) as other, ThreadPoolExecutor(2) as pool:
        written = pool.map(
            lambda process: process.do("write_events", threads=4, each=20), (stage, other)
        )
        assert sum(written) == 160
    report = sealed(stage)
    assert report["sound"] == report["head"]["position"] > 160


def test_a_command_that_reads_the_whole_trail_runs_through_it(
    pooled: Pooled, tmp_path: Path
) -> None:
    export = tmp_path / "export"
    pooled.service.manage("export_audit_log", str(export))
    assert len(export.read_text().splitlines()) > 160


def test_nothing_is_left_on_the_connections_that_are_handed_on(pooled: Pooled) -> None:
    left = (
        "SELECT (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors),"
        " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())"
    )
    with psycopg.connect(pooled.pooler.url, autocommit=True, prepare_threshold=None) as connection:
        found = {connection.execute(left).fetchone() for _ in range(2 * CONNECTIONS)}
    assert found == {(0, 0, 0)}
