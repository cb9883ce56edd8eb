"""EmbeddedCounters: exact over threads and processes, and not to be broken by either."""

import multiprocessing
import os
import signal
import sqlite3
import threading
import time
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from django.core.cache import caches
from django.test import RequestFactory
from django_ratelimit.core import get_usage
from pytest_django import Settings

from fluxiq.counters import EmbeddedCounters
from fluxiq.counters.embedded import PURGE_BATCH, PURGE_EVERY
from fluxiq.tests.embedded_counting import InAFile, check, run
from fluxiq.tests.waiting import wait_until

pytestmark = pytest.mark.once

LIMIT = 1000
SPAWN = multiprocessing.get_context("spawn")

FORK_WHILE_THREADS_COUNT = """
import os, sys, threading
from fluxiq.counters import EmbeddedCounters

counters = EmbeddedCounters(sys.argv[1], {})
counters.set("bucket", 0, None)
done = threading.Event()
counted = [0, 0]

def count(index):
    while not done.is_set():
        counters.incr("bucket")
        counted[index] += 1

threads = [threading.Thread(target=count, args=(index,)) for index in range(2)]
for thread in threads:
    thread.start()
children = []
for _ in range(20):
    child = os.fork()
    if not child:
        for _ in range(20):
            counters.incr("bucket")
        os._exit(0)
    children.append(child)
statuses = [os.waitpid(child, 0)[1] for child in children]
done.set()
for thread in threads:
    thread.join()
print(any(statuses), counters.get("bucket") - sum(counted))
"""


def admit(location: Path, checks: int, start: Barrier, admitted: "SimpleQueue[int]") -> None:
    counters = EmbeddedCounters(location, {})
    start.wait()
    admitted.put(sum(check(counters) <= LIMIT for _ in range(checks)))


def count_for_ever(location: Path) -> None:
    counters = EmbeddedCounters(location, {})
    while True:
        check(counters)
        check(counters, f"address {time.monotonic_ns()}")


def wait_for_others(counters: EmbeddedCounters) -> None:
    before = check(counters)
    wait_until(lambda: counters.get("bucket") > before + 200)


class Clock:
    """Stands in for time.time(): the present, moved by `ahead` seconds."""

    def __init__(self) -> None:
        self._real = time.time
        self.ahead = 0.0

    def __call__(self) -> float:
        return self._real() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


class TestExactness(InAFile):
    def test_four_processes_admit_exactly_the_limit(self, location: Path) -> None:
        start, admitted = SPAWN.Barrier(4), SPAWN.SimpleQueue()
        processes: list[BaseProcess] = [
            SPAWN.Process(target=admit, args=(location, 600, start, admitted)) for _ in range(4)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()

        assert sum(admitted.get() for _ in processes) == LIMIT
        assert EmbeddedCounters(location, {}).get("bucket") == 2400

    def test_threads_with_a_cache_object_each_admit_exactly_the_limit(self, location: Path) -> None:
        admitted: list[int] = []

        def count() -> None:
            counters = EmbeddedCounters(location, {})
            admitted.extend(check(counters) <= LIMIT for _ in range(200))

        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert (len(admitted), sum(admitted)) == (1600, LIMIT)

    def test_children_forked_while_threads_count_lose_no_count(self, location: Path) -> None:
        assert run(FORK_WHILE_THREADS_COUNT, location) == "False 400\n"

    def test_a_killed_process_stops_and_damages_nobody(self, location: Path) -> None:
        counters = EmbeddedCounters(location, {})
        check(counters)
        survivor, *victims = [
            SPAWN.Process(target=count_for_ever, args=(location,)) for _ in range(3)
        ]
        for process in (survivor, *victims):
            process.start()
        try:
            for victim in victims:
                wait_for_others(counters)
                assert victim.pid is not None
                os.kill(victim.pid, signal.SIGKILL)
                victim.join()
                check(counters)
            wait_for_others(counters)
        finally:
            survivor.kill()
            survivor.join()

        with sqlite3.connect(location) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


class TestCounting(InAFile):
    def test_add_stores_only_where_the_key_is_absent(self, counters: EmbeddedCounters) -> None:
        assert counters.add("key", 3, 60) is True
        assert counters.add("key", 1, 60) is False
        assert counters.get("key") == 3

    def test_incr_and_decr_return_the_new_count(self, counters: EmbeddedCounters) -> None:
        counters.set("key", 3)
        assert [counters.incr("key"), counters.incr("key", 5), counters.decr("key", 2)] == [4, 9, 7]

    def test_incr_and_decr_of_an_absent_key_are_refused_and_store_nothing(
        self, counters: EmbeddedCounters
    ) -> None:
        for count in (counters.incr, counters.decr):
            with pytest.raises(ValueError, match="no counter"):
                count("key")
        assert counters.get("key") is None

    def test_an_absent_key_reads_as_the_default(self, counters: EmbeddedCounters) -> None:
        assert counters.get("key", 0) == 0
        assert "key" not in counters

    def test_delete_and_touch_tell_whether_the_key_was_there(
        self, counters: EmbeddedCounters
    ) -> None:
        counters.set("key", 1)
        assert (counters.touch("key", 60), counters.delete("key")) == (True, True)
        assert (counters.touch("key", 60), counters.delete("key")) == (False, False)

    def test_clear_removes_all(self, counters: EmbeddedCounters) -> None:
        counters.set_many({"one": 1, "two": 2})
        counters.clear()
        assert counters.get_many(["one", "two"]) == {}

    def test_prefixes_and_versions_are_apart(self, location: Path) -> None:
        here = EmbeddedCounters(location, {"KEY_PREFIX": "here"})
        there = EmbeddedCounters(location, {"KEY_PREFIX": "there"})
        here.set("key", 1)
        here.set("key", 2, version=2)
        assert (here.get("key"), here.get("key", version=2), there.get("key")) == (1, 2, None)

    def test_what_is_no_integer_is_refused(self, counters: EmbeddedCounters) -> None:
        with pytest.raises(TypeError, match="an integer, not str"):
            counters.set("key", "1")

    def test_django_ratelimit_counts_and_looks_without_counting(
        self, location: Path, settings: Settings
    ) -> None:
        settings.RATELIMIT_ENABLE = True
        settings.RATELIMIT_USE_CACHE = "default"
        settings.CACHES = {
            "default": {"BACKEND": "fluxiq.counters.EmbeddedCounters", "LOCATION": location}
        }
        request = RequestFactory().get("/")

        def usage(*, increment: bool) -> tuple[int, bool]:
            found = get_usage(
                request, "group:", key=lambda *_: "me", rate="2/h", increment=increment
            )
            return found["count"], found["should_limit"]

        assert usage(increment=False) == (0, False)
        assert [usage(increment=True) for _ in range(3)] == [(1, False), (2, False), (3, True)]
        assert usage(increment=False) == (3, True)
        assert isinstance(caches["default"], EmbeddedCounters)


class TestExpiry(InAFile):
    def test_an_expired_key_is_absent_and_can_be_added_anew(
        self, counters: EmbeddedCounters, clock: Clock
    ) -> None:
        counters.add("key", 5, 60)
        clock.ahead = 61
        assert counters.get("key") is None
        assert (counters.touch("key", 60), counters.delete("key")) == (False, False)
        with pytest.raises(ValueError, match="no counter"):
            counters.incr("key")
        assert counters.add("key", 1, 60) is True
        assert counters.get("key") == 1

    def test_counting_leaves_the_time_to_live_alone_and_touch_sets_it(
        self, counters: EmbeddedCounters, clock: Clock
    ) -> None:
        counters.add("counted", 1, 60)
        counters.add("touched", 1, 60)
        clock.ahead = 59
        counters.incr("counted")
        counters.touch("touched", 60)
        clock.ahead = 61
        assert counters.get_many(["counted", "touched"]) == {"touched": 1}

    def test_no_timeout_means_the_default_one_and_none_means_for_ever(
        self, location: Path, clock: Clock
    ) -> None:
        counters = EmbeddedCounters(location, {"TIMEOUT": 10})
        counters.set("default", 1)
        counters.set("for ever", 1, None)
        counters.set("not at all", 1, 0)
        assert counters.get_many(["default", "for ever", "not at all"]) == {
            "default": 1,
            "for ever": 1,
        }
        clock.ahead = 10**9
        assert counters.get_many(["default", "for ever"]) == {"for ever": 1}

    def test_expired_rows_are_purged_and_live_ones_stay(
        self, counters: EmbeddedCounters, location: Path, clock: Clock
    ) -> None:
        counters.set("a day", 7, 86_400)
        for window in range(10):
            clock.ahead = window * 120
            for address in range(500):
                counters.add(f"{window} {address}", 1, 65)

        with sqlite3.connect(location) as connection:
            rows = connection.execute("SELECT count(*) FROM counters").fetchone()[0]
        connection.close()
        assert rows <= 1 + 500 + PURGE_BATCH + PURGE_EVERY
        assert counters.get("a day") == 7
        assert all(counters.get(f"9 {address}") == 1 for address in range(500))
