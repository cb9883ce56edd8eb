"""A write that SQLite refused for want of its disk is told of for half a minute."""

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
from django.db import OperationalError, connection
from django.test import Client

from fluxiq import counters, writes

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="reads tell it elsewhere"),
]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """The clock of the counters, standing at what it returns."""
    standing = mock.Mock(return_value=time.time())
    for module in ("fluxiq.counters.embedded", "django.core.cache.backends.base"):
        monkeypatch.setattr(f"{module}.time", mock.Mock(time=standing))
    return standing


def refusal(code: int = sqlite3.SQLITE_FULL) -> OperationalError:
    """Django's error for SQLite's."""
    cause = sqlite3.OperationalError("database or disk is full")
    cause.sqlite_errorcode = code
    error = OperationalError(*cause.args)
    error.__cause__ = cause
    return error


@contextmanager
def answering(error: Exception) -> Iterator[mock.Mock]:
    """The database fails whatever is executed."""
    with mock.patch.object(connection, "cursor") as cursor:
        executed = cursor.return_value.__enter__.return_value
        executed.fetchone.return_value = (0,)
        executed.execute.side_effect = error
        yield cursor


def test_nothing_is_written_where_no_write_was_refused() -> None:
    with answering(refusal()) as cursor:
        assert not writes.are_refused()
    cursor.assert_not_called()


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_READONLY]
)
def test_a_refusal_is_known_for_half_a_minute(code: int, clock: mock.Mock) -> None:
    writes.note(refusal(code))
    assert writes.are_refused()
    clock.return_value += 29
    assert writes.are_refused()
    clock.return_value += 2
    assert not writes.are_refused()


def test_it_is_known_for_longer_where_a_write_still_fails(clock: mock.Mock) -> None:
    writes.note(refusal())
    clock.return_value += 29
    with answering(refusal()):
        assert writes.are_refused()
    clock.return_value += 29
    assert writes.are_refused()
    clock.return_value += 2
    assert not writes.are_refused()


def test_what_is_no_refusal_is_not_noted() -> None:
    for error in (refusal(sqlite3.SQLITE_BUSY), OperationalError("the server is away")):
        writes.note(error)
        with answering(refusal()):
            assert not writes.are_refused()


def test_a_database_that_fails_otherwise_tells_nothing_of_writes() -> None:
    writes.note(refusal())
    with answering(refusal(sqlite3.SQLITE_BUSY)), pytest.raises(OperationalError):
        writes.are_refused()


def test_where_nothing_can_be_noted_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    with (
        mock.patch.object(counters.of_requests(), "set", side_effect=full),
        caplog.at_level(logging.ERROR, "fluxiq.writes"),
    ):
        writes.note(refusal())
    assert "not noted: database or disk is full" in caplog.text


def test_ready_is_degraded_while_writes_are_refused(client: Client) -> None:
    with mock.patch("fluxiq.writes.are_refused", return_value=True):
        answer = client.get("/readyz")
    data = {"status": "degraded", "database": "takes no writes"}
    assert (answer.status_code, answer.json()) == (200, {"data": data})
    assert client.get("/readyz").json() == {"data": {"status": "ready"}}


def test_not_ready_where_the_database_is_away_by_then(client: Client) -> None:
    with mock.patch("fluxiq.writes.are_refused", side_effect=refusal(sqlite3.SQLITE_BUSY)):
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["error"]["details"] == {"database": ["unreachable"]}
