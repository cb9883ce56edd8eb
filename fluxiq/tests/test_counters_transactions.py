"""A transaction of the counters' file: what rides along goes in it, and others wait their turn."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest import mock

import pytest

from fluxiq.counters import EmbeddedCounters, Tally
from fluxiq.counters.file import CounterFile

pytestmark = pytest.mark.once


@pytest.fixture
def counters(tmp_path: Path) -> EmbeddedCounters:
    return EmbeddedCounters(tmp_path / "counters" / "counters.sqlite3", {})


def tallied(counters: EmbeddedCounters) -> dict[str, Tally]:
    return {name: tally for batch in counters.batches() for name, tally in batch.tallies.items()}


def test_it_goes_with_the_next_count(counters: EmbeddedCounters) -> None:
    counters.set("requests", 1)
    counters.tally("use", at=7, note="from here", ride=True)
    assert counters.incr("requests") == 2
    assert tallied(counters) == {"use": Tally(1, 7, "from here")}


def test_it_goes_with_the_first_count_of_a_window(counters: EmbeddedCounters) -> None:
    counters.tally("use", at=7, note="from here", ride=True)
    assert counters.add("requests", 1)
    assert tallied(counters) == {"use": Tally(1, 7, "from here")}


def test_it_goes_once(counters: EmbeddedCounters) -> None:
    counters.set("requests", 1)
    counters.tally("use", ride=True)
    for _ in range(3):
        assert not counters.add("requests", 1)
        counters.incr("requests")
    assert tallied(counters)["use"].count == 1


def test_one_that_waits_goes_before_the_next(counters: EmbeddedCounters) -> None:
    counters.tally("first", ride=True)
    counters.tally("second", ride=True)
    counters.tally("third")
    assert {name: tally.count for name, tally in tallied(counters).items()} == {
        "first": 1,
        "second": 1,
        "third": 1,
    }


def test_of_statements_that_go_together_all_are_done_or_none(tmp_path: Path) -> None:
    file = CounterFile(tmp_path / "counters" / "counters.sqlite3")
    insert = "INSERT INTO counters VALUES (?, 1, 1)"
    with pytest.raises(Exception, match="UNIQUE"):
        file.execute_together((insert, "one"), (insert, "two"), (insert, "one"))
    assert file.execute("SELECT * FROM counters") == ([], -1)
    file.execute_together((insert, "one"), (insert, "two"))
    rows, _ = file.execute_together(
        ("DELETE FROM counters WHERE key = ?", "one"), ("SELECT key FROM counters",)
    )
    assert rows == [("two",)]


@contextmanager
def held(path: Path) -> Iterator[sqlite3.Connection]:
    """Another's turn at the file, until it commits."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def test_who_finds_the_file_taken_counts_when_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "counters" / "counters.sqlite3"
    counters = EmbeddedCounters(path, {})
    counters.set("requests", 1)
    with held(path) as other:
        later = threading.Timer(0.1, other.execute, ("COMMIT",))
        later.start()
        counters.tally("use", ride=True)
        assert counters.incr("requests") == 2
        later.join()
    assert tallied(counters)["use"].count == 1


def test_a_file_that_stays_taken_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "counters" / "counters.sqlite3"
    counters = EmbeddedCounters(path, {})
    counters.set("requests", 1)
    with (
        held(path),
        mock.patch("fluxiq.counters.file.BUSY_SECONDS", 0.05),
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        counters.incr("requests")
    assert counters.get("requests") == 1
