"""SharedCounters: one exact count on a real Valkey."""

import multiprocessing
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory
from django_ratelimit.core import get_usage
from pytest_django import Settings

from fluxiq.counters import EmbeddedCounters, SharedCounters
from fluxiq.tests.shared_counting import OnValkey, Valkey, check, run_threads
from fluxiq.tests.waiting import wait_until

pytestmark = pytest.mark.engine

LIMIT = 100
SPAWN = multiprocessing.get_context("spawn")
PROJECT = Path(__file__).resolve().parents[2]

FORK_AFTER_COUNTING = """
import os, sys
from fluxiq.counters import SharedCounters

url, fallback, prefix = sys.argv[1:]
counters = SharedCounters(url, {"KEY_PREFIX": prefix, "OPTIONS": {"fallback": fallback}})
counters.set("bucket", 0)
children = []
for _ in range(4):
    child = os.fork()
    if not child:
        for _ in range(100):
            counters.incr("bucket")
        os._exit(counters.breaker.is_open)
    children.append(child)
for _ in range(100):
    counters.incr("bucket")
statuses = [os.waitpid(child, 0)[1] for child in children]
print(any(statuses), counters.get("bucket"))
"""


def admit(
    url: str, params: dict[str, Any], checks: int, start: Barrier, admitted: "SimpleQueue[int]"
) -> None:
    counters = SharedCounters(url, params)
    start.wait()
    admitted.put(sum(check(counters) <= LIMIT for _ in range(checks)))


class TestExactness(OnValkey):
    def test_processes_admit_exactly_the_limit(
        self, valkey: Valkey, params: dict[str, Any]
    ) -> None:
        start, admitted = SPAWN.Barrier(3), SPAWN.SimpleQueue()
        processes = [
            SPAWN.Process(target=admit, args=(valkey.url, params, 100, start, admitted))
            for _ in range(3)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()

        assert sum(admitted.get() for _ in processes) == LIMIT
        assert SharedCounters(valkey.url, params).get("bucket") == 300

    @pytest.mark.parametrize("object_each", [True, False])
    def test_threads_admit_exactly_the_limit(
        self, valkey: Valkey, params: dict[str, Any], object_each: bool
    ) -> None:
        counters = SharedCounters(valkey.url, params)
        assert self._admitted(
            lambda: SharedCounters(valkey.url, params) if object_each else counters
        ) == (400, LIMIT)
        assert counters.get("bucket") == 400

    def test_threads_on_a_host_without_the_server_admit_exactly_the_limit(
        self, valkey: Valkey, params: dict[str, Any]
    ) -> None:
        with valkey.away():
            assert self._admitted(lambda: SharedCounters(valkey.url, params)) == (400, LIMIT)
        fallback = EmbeddedCounters(params["OPTIONS"]["fallback"], params)
        assert fallback.get("bucket") == 400

    def _admitted(self, counters: Callable[[], SharedCounters]) -> tuple[int, int]:
        admitted: list[bool] = []

        def admit() -> None:
            mine = counters()
            admitted.extend(check(mine) <= LIMIT for _ in range(50))

        run_threads(8, admit)
        return len(admitted), sum(admitted)

    def test_forked_children_count_on_connections_of_their_own(
        self, valkey: Valkey, params: dict[str, Any]
    ) -> None:
        arguments = [valkey.url, str(params["OPTIONS"]["fallback"]), params["KEY_PREFIX"]]
        finished = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FORK_AFTER_COUNTING, *arguments],
            cwd=PROJECT,
            check=True,
            capture_output=True,
            text=True,
            timeout=10,
        )
        assert finished.stdout == "False 500\n"


class TestCounting(OnValkey):
    def test_the_first_count_sets_the_time_to_live_and_later_ones_leave_it(
        self, counters: SharedCounters, valkey: Valkey
    ) -> None:
        with valkey.client() as client:
            assert check(counters) == 1
            name = counters.make_key("bucket")
            assert 64_000 < client.pttl(name) <= 65_000
            client.pexpire(name, 10_000)
            assert check(counters) == 2
            assert 9_000 < client.pttl(name) <= 10_000

    def test_a_count_expires(self, counters: SharedCounters) -> None:
        counters.add("key", 1, 0.05)
        assert counters.incr("key") == 1
        wait_until(lambda: counters.get("key") is None)
        with pytest.raises(ValueError, match="no counter"):
            counters.incr("key")

    def test_a_check_is_one_round_trip(self, counters: SharedCounters, valkey: Valkey) -> None:
        check(counters)
        with valkey.client() as client:
            # Of a client's own commands; what a script does is counted in commandstats too.
            client.config_resetstat()
            assert [check(counters) for _ in range(10)] == list(range(2, 12))
            stats = client.info("commandstats")
            assert isinstance(stats, dict)
            assert stats["cmdstat_evalsha"]["calls"] == 10
            assert stats.keys() <= {
                f"cmdstat_{name}" for name in ("evalsha", "exists", "incrby", "config|resetstat")
            }

    def test_incr_and_decr_of_an_absent_key_are_refused_and_leave_no_orphan(
        self, counters: SharedCounters
    ) -> None:
        with pytest.raises(ValueError, match="no counter"):
            counters.incr("key")
        counters.add("key", 0, 60)
        with pytest.raises(ValueError, match="no counter"):
            counters.decr("key")
        assert "key" not in counters

    def test_decr_gives_back_what_incr_took(self, counters: SharedCounters) -> None:
        counters.add("key", 0, 60)
        assert [counters.incr("key"), counters.incr("key"), counters.decr("key")] == [1, 2, 1]

    def test_add_of_nought_is_not_in_the_way_of_a_default(self, counters: SharedCounters) -> None:
        assert counters.add("key", 0, 60) is False
        assert counters.get("key", 7) == 7

    def test_add_of_other_values_stores_only_where_the_key_is_absent(
        self, counters: SharedCounters
    ) -> None:
        assert (counters.add("key", 5, 60), counters.add("key", 6, 60)) == (True, False)
        assert counters.get("key") == 5

    def test_no_timeout_means_the_default_one_and_none_means_for_ever(
        self, valkey: Valkey, params: dict[str, Any]
    ) -> None:
        counters = SharedCounters(valkey.url, {**params, "TIMEOUT": 10})
        counters.set("default", 1)
        counters.set("for ever", 1, None)
        counters.add("counted for ever", 1, None)
        counters.incr("counted for ever")
        with valkey.client() as client:
            assert 9 <= client.ttl(counters.make_key("default")) <= 10
            assert client.ttl(counters.make_key("for ever")) == -1
            assert client.ttl(counters.make_key("counted for ever")) == -1

    def test_delete_and_touch_tell_whether_the_key_was_there(
        self, counters: SharedCounters, valkey: Valkey
    ) -> None:
        counters.set("key", 1, 10)
        assert counters.touch("key", 60) is True
        with valkey.client() as client:
            assert 50 < client.ttl(counters.make_key("key")) <= 60
            assert counters.touch("key", None) is True
            assert client.ttl(counters.make_key("key")) == -1
        assert counters.delete("key") is True
        assert (counters.touch("key", 60), counters.delete("key")) == (False, False)

    def test_clear_removes_the_keys_of_its_own_prefix_alone(
        self, valkey: Valkey, params: dict[str, Any]
    ) -> None:
        mine = SharedCounters(valkey.url, {**params, "KEY_PREFIX": "clear*[b]?"})
        other = SharedCounters(valkey.url, {**params, "KEY_PREFIX": "clearx[b]y"})
        mine.set_many({str(number): number for number in range(2500)})
        other.set("key", 1)
        mine.clear()
        with valkey.client() as client:
            assert list(client.scan_iter("clear*")) == ["clearx[b]y:1:key"]

    def test_what_is_no_integer_is_refused(self, counters: SharedCounters) -> None:
        for store in (counters.add, counters.set):
            with pytest.raises(TypeError, match="an integer, not str"):
                store("key", "1")

    def test_django_ratelimit_counts_and_looks_without_counting(
        self, valkey: Valkey, params: dict[str, Any], settings: Settings
    ) -> None:
        settings.RATELIMIT_ENABLE = True
        settings.RATELIMIT_USE_CACHE = "default"
        backend = {"BACKEND": "fluxiq.counters.SharedCounters", "LOCATION": valkey.url}
        settings.CACHES = {"default": {**params, **backend}}
        request = RequestFactory().get("/")

        def usage(*, increment: bool) -> tuple[int, bool]:
            found = get_usage(
                request, "group:", key=lambda *_: "me", rate="2/h", increment=increment
            )
            return found["count"], found["should_limit"]

        def counts_from_the_start() -> None:
            assert usage(increment=False) == (0, False)
            assert [usage(increment=True) for _ in range(3)] == [(1, False), (2, False), (3, True)]
            assert usage(increment=False) == (3, True)

        counts_from_the_start()
        with valkey.away():
            counts_from_the_start()


class TestConfiguration(OnValkey):
    def test_a_fallback_is_required(self, valkey: Valkey) -> None:
        with pytest.raises(ImproperlyConfigured, match="fallback"):
            SharedCounters(valkey.url, {})

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "http://127.0.0.1",
            "redis://:s3cret/x@host:6379",
            "redis://:p@host:s3cret",
            "redis://host:6379?unknown=s3cret",
        ],
    )
    def test_a_url_that_is_none_is_refused_without_repeating_it(
        self, params: dict[str, Any], url: str
    ) -> None:
        with pytest.raises(ImproperlyConfigured, match="redis://host:6379/0") as refusal:
            SharedCounters(url, params)
        assert "s3cret" not in str(refusal.value)
        assert refusal.value.__suppress_context__
