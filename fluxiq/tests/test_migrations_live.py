"""A newer schema comes while older code serves: nobody notices, and nobody waits for a lock."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

import psycopg
import pytest

from fluxiq.tests.deploying import Traffic, reload
from fluxiq.tests.engines import PROJECT
from fluxiq.tests.next_release import ADDED_COLUMN, columns, next_release
from fluxiq.tests.served import NO_LIMITS, SERVERS, Service, serving

pytestmark = [pytest.mark.engine, pytest.mark.proof]

REQUESTS = 100


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Two workers on PostgreSQL and Valkey."""
    with serving(SERVERS, NO_LIMITS, workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def newer(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment in which `manage.py` is the next release's."""
    return next_release(service, tmp_path_factory.mktemp("next"))


def migrate(environment: Mapping[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """What became of `manage.py migrate`."""
    return subprocess.run(
        [sys.executable, "manage.py", "migrate", *options],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def open_account(service: Service, owner: str) -> int:
    """The status of the answer to `POST /accounts`, which writes to that table."""
    body = {"merchant_id": service.demo["merchant_id"], "name": "Caixa"}
    return service.call("POST", "/api/v1/accounts", owner, body).status


def test_a_lock_is_not_waited_for(service: Service, newer: Mapping[str, str]) -> None:
    """Runs before the test below: the migration that it tries is the one that is applied there."""
    key = service.demo["key"]
    with psycopg.connect(service.environment["DATABASE_URL"]) as held:
        held.execute("SELECT 1 FROM merchants_paymentaccount")
        with Traffic(service.gunicorn.port, key, keep_alive=True) as traffic:
            began = time.monotonic()
            done = migrate(newer, "--lock-timeout", "0.3", "--attempts", "1")
            assert time.monotonic() - began < 10
        assert done.returncode == 1
        assert "gave up: a lock was not had within 0.3 s" in done.stderr
        assert "Traceback" not in done.stderr
    assert not traffic.failures
    assert traffic.answered > 0
    assert ADDED_COLUMN not in columns(service)


def test_a_column_is_added_while_older_code_reads_and_writes(
    service: Service, newer: Mapping[str, str]
) -> None:
    owner = service.sign_in()["access_token"]
    key = service.demo["key"]
    assert open_account(service, owner) == 201
    with Traffic(service.gunicorn.port, key, keep_alive=True) as traffic:
        traffic.wait_for(REQUESTS)
        done = migrate(newer)
        assert done.returncode == 0, done.stderr
        assert ADDED_COLUMN in columns(service)
        traffic.wait_for(REQUESTS)
        # Rows of the older code, and older code started on the newer schema: a rollback.
        assert open_account(service, owner) == 201
        reload(service.gunicorn)
        traffic.wait_for(REQUESTS)
        assert open_account(service, owner) == 201
    assert not traffic.failures
    assert service.call("GET", "/readyz").status == 200
