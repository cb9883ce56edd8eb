"""SharedCounters while the Valkey is away: one exact count for each host, and none waits."""

import logging
import socket
import time
from collections.abc import Callable
from contextlib import closing
from itertools import count
from typing import Any

import pytest

from fluxiq.counters import SharedCounters
from fluxiq.tests.shared_counting import PROBE_SECONDS, OnValkey, Valkey, check, run_threads
from fluxiq.tests.waiting import wait_until

pytestmark = pytest.mark.engine


def timed(function: Callable[[], int]) -> int:
    """Call it and see that it does not keep a request waiting."""
    start = time.monotonic()
    result = function()
    assert time.monotonic() - start < 0.5
    return result


def holds_for(seconds: float, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition()


def accepted(listener: socket.socket) -> bool:
    """Take a connection that waits, if one does."""
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def back(counters: SharedCounters) -> bool:
    """Whether the server counts again; asking is what makes the breaker probe."""
    counters.get("any")
    return not counters.breaker.is_open


class TestBreaker(OnValkey):
    def test_a_killed_server_is_replaced_by_this_host_and_taken_back(
        self, valkey: Valkey, params: dict[str, Any]
    ) -> None:
        del params["OPTIONS"]["probe_seconds"]
        counters = SharedCounters(valkey.url, params)
        assert [check(counters), check(counters)] == [1, 2]
        with valkey.away():
            assert [timed(lambda: check(counters)) for _ in range(20)] == list(range(1, 21))
            assert counters.breaker.is_open
        wait_until(lambda: back(counters), seconds=2)
        # It lost its keys.
        assert [check(counters), check(counters)] == [1, 2]

    def test_a_hanging_server_is_replaced_by_this_host_and_taken_back(
        self, counters: SharedCounters, valkey: Valkey
    ) -> None:
        assert [check(counters), check(counters)] == [1, 2]
        with valkey.hanging():
            expected = count(1)
            holds_for(4 * PROBE_SECONDS, lambda: timed(lambda: check(counters)) == next(expected))
            assert counters.breaker.is_open
        wait_until(lambda: back(counters), seconds=2)
        # What was sent while it hung was never counted, or was counted once.
        assert 3 <= check(counters) <= 4

    def test_while_it_is_left_alone_calls_do_not_wait(
        self, valkey: Valkey, params: dict[str, Any]
    ) -> None:
        params["OPTIONS"]["probe_seconds"] = 60
        counters = SharedCounters(valkey.url, params)
        with valkey.hanging():
            check(counters)
            start = time.monotonic()
            for _ in range(100):
                check(counters)
            assert time.monotonic() - start < 1

    def test_one_thread_at_a_time_probes(self, params: dict[str, Any]) -> None:
        with closing(socket.create_server(("127.0.0.1", 0), backlog=100)) as silent:
            counters = SharedCounters(f"redis://127.0.0.1:{silent.getsockname()[1]}", params)
            silent.setblocking(False)
            connections, rounds, probed_for = 0, 0, 0.0
            # The first calls, of four threads at most, found it away.
            while connections - 4 < 2 and rounds < 20:
                start = time.monotonic()
                run_threads(4, lambda: holds_for(0.5, lambda: bool(check(counters))))
                probed_for += time.monotonic() - start
                connections += sum(1 for _ in iter(lambda: accepted(silent), False))
                rounds += 1
        # Each probe takes its time-out, 0.1 s, and as long again goes by without one.
        assert 2 <= connections - 4 <= rounds + probed_for / (0.1 + PROBE_SECONDS)

    def test_every_operation_goes_on_without_the_server(
        self, counters: SharedCounters, valkey: Valkey
    ) -> None:
        with valkey.away():
            assert counters.add("key", 5, 60) is True
            assert counters.get("key") == 5
            assert counters.incr("key") == 6
            assert counters.decr("key", 2) == 4
            counters.set("key", 1, 60)
            assert counters.touch("key", 60) is True
            assert counters.delete("key") is True
            with pytest.raises(ValueError, match="no counter"):
                counters.incr("key")
            counters.set("key", 1)
            counters.clear()
            assert counters.get("key", 7) == 7

    def test_a_server_that_fails_between_add_and_incr_loses_no_count(
        self, counters: SharedCounters, valkey: Valkey
    ) -> None:
        counters.add("key", 1, 60)
        with valkey.away():
            assert counters.incr("key") == 1
            counters.add("key", 1, 60)
        wait_until(lambda: back(counters))
        assert counters.incr("key") == 1

    @pytest.mark.parametrize(
        ("break_it", "mend_it"),
        [
            ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
            ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
            (
                "CONFIG SET min-replicas-to-write 1",
                "CONFIG SET min-replicas-to-write 0",
            ),
        ],
        ids=["read-only", "out of memory", "without replicas"],
    )
    def test_a_server_that_refuses_to_count_is_away(
        self, counters: SharedCounters, valkey: Valkey, break_it: str, mend_it: str
    ) -> None:
        valkey.command(break_it)
        try:
            assert [check(counters), check(counters)] == [1, 2]
            # It would answer a read: that alone does not bring it back.
            holds_for(3 * PROBE_SECONDS, lambda: not back(counters))
        finally:
            valkey.command(mend_it)
        wait_until(lambda: back(counters), seconds=2)
        assert check(counters) == 1

    def test_a_server_without_the_script_is_given_it(
        self, counters: SharedCounters, valkey: Valkey
    ) -> None:
        assert check(counters) == 1
        with valkey.client() as client:
            client.script_flush()
        assert check(counters) == 2
        assert not counters.breaker.is_open

    def test_a_connection_that_was_closed_while_idle_is_no_failure(
        self, valkey: Valkey, params: dict[str, Any]
    ) -> None:
        # So that a connection counts as idle at once.
        params["OPTIONS"]["probe_seconds"] = 0
        counters = SharedCounters(valkey.url, params)
        assert check(counters) == 1
        with valkey.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        assert check(counters) == 2
        assert not counters.breaker.is_open

    def test_cache_objects_of_one_process_share_the_breaker(
        self, valkey: Valkey, params: dict[str, Any]
    ) -> None:
        one, two = SharedCounters(valkey.url, params), SharedCounters(valkey.url, params)
        with valkey.away():
            check(one)
            assert two.breaker.is_open
        wait_until(lambda: back(two))
        assert not one.breaker.is_open

    def test_each_transition_is_logged_once_and_the_password_never(
        self, valkey: Valkey, params: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "fluxiq.counters")
        valkey.command("ACL SETUSER teller on >s3cret ~* &* +@all")
        url = f"redis://teller:s3cret@127.0.0.1:{valkey.port}/0"
        counters = SharedCounters(url, params)
        assert check(counters) == 1
        with valkey.away():
            for _ in range(5):
                check(counters)
        # The user went with the server, so that it is back for others only.
        holds_for(3 * PROBE_SECONDS, lambda: not back(counters))
        valkey.command("ACL SETUSER teller on >s3cret ~* &* +@all")
        wait_until(lambda: back(counters))

        server = f"counter server 127.0.0.1:{valkey.port}/0"
        away, again = [record.getMessage() for record in caplog.records]
        assert away.startswith(f"{server} is away (ConnectionError: ")
        assert again == f"{server} is back: counting is shared again"
        assert "s3cret" not in caplog.text
