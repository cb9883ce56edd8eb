"""What is too slow is ended on the server too, and is no reason to take the server for away."""

import gc
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from fluxiq.postgresql import patience
from fluxiq.postgresql.patience import PatientConnection, breaker
from fluxiq.tests.engines import require
from fluxiq.tests.postgres_server import shared_postgres

pytestmark = pytest.mark.engine

SLOW = "SELECT pg_sleep(5)"


@pytest.fixture
def connection() -> Iterator[PatientConnection]:
    """One that was just heard over."""
    with PatientConnection.connect(require(shared_postgres).url, autocommit=True) as connection:
        connection.execute("SELECT 1")
        yield connection


def is_running(pid: int) -> bool:
    """Whether the server still works for that connection."""
    with psycopg.connect(require(shared_postgres).url) as observer:
        query = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND state = 'active'"
        row = observer.execute(query, [pid]).fetchone()
    return row is not None and row[0] > 0


def test_a_wait_ends_with_patience_and_the_query_with_it(connection: PatientConnection) -> None:
    pid, began = connection.info.backend_pid, time.monotonic()
    with patience.at_most(0.3), pytest.raises(psycopg.OperationalError):
        connection.execute(SLOW)
    assert 0.3 <= time.monotonic() - began < 2
    assert connection.closed
    deadline = time.monotonic() + 2
    while is_running(pid):
        assert time.monotonic() < deadline, "the server goes on with what nobody waits for"


def test_one_slow_query_leaves_the_server_in_use(connection: PatientConnection) -> None:
    with patience.at_most(0.3), pytest.raises(psycopg.OperationalError):
        connection.execute(SLOW)
    assert not breaker.is_open


def test_a_command_waits_as_long_as_it_takes(connection: PatientConnection) -> None:
    connection.execute("SELECT pg_sleep(1)")
    assert not connection.closed


def test_an_error_of_the_query_keeps_the_connection(connection: PatientConnection) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("SET statement_timeout = 50; SELECT pg_sleep(5)")
    assert not connection.closed


def test_one_that_could_not_be_opened_in_time_is_closed_at_once() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgres://fluxiq@127.0.0.1:{silent.getsockname()[1]}/fluxiq?connect_timeout=2"
        before = len(list(Path("/proc/self/fd").iterdir()))
        gc.disable()
        try:
            with pytest.raises(psycopg.errors.ConnectionTimeout):
                PatientConnection.connect(url)
            assert len(list(Path("/proc/self/fd").iterdir())) == before
        finally:
            gc.enable()
