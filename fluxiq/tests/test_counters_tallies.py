"""Tallies: none is lost and none is handed on twice, on this machine and on a real Valkey."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
from redis import Redis

from fluxiq.counters import Counters, EmbeddedCounters, SharedCounters, Tally
from fluxiq.counters.naming import tag_of, tallies_name
from fluxiq.counters.server import ServerAway
from fluxiq.tests.engines import Engine, free_port, require
from fluxiq.tests.valkey_server import start_valkey

Make = Callable[..., Counters]


@pytest.fixture(scope="module")
def valkey() -> Iterator[Engine]:
    valkey = require(lambda: start_valkey(free_port()))
    yield valkey
    valkey.stop()


@pytest.fixture(params=["embedded", pytest.param("shared", marks=pytest.mark.engine)])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes counters, each time an object of their own for the same counts."""
    prefix, location = uuid4().hex, tmp_path / "private" / "counters.sqlite3"
    if request.param == "embedded":
        return lambda **params: EmbeddedCounters(location, {"KEY_PREFIX": prefix, **params})
    url = request.getfixturevalue("valkey").url
    options = {"fallback": location}
    return lambda **params: SharedCounters(
        url, {"KEY_PREFIX": prefix, "OPTIONS": options, **params}
    )


@pytest.fixture
def counters(make: Make) -> Counters:
    return make()


@pytest.fixture
def shared(valkey: Engine, tmp_path: Path) -> SharedCounters:
    options = {"fallback": tmp_path / "private" / "counters.sqlite3", "probe_seconds": 60}
    return SharedCounters(valkey.url, {"KEY_PREFIX": uuid4().hex, "OPTIONS": options})


def check(counters: Counters, key: str = "bucket") -> int:
    """Count as django-ratelimit does."""
    return 1 if counters.add(key, 1, 65) else counters.incr(key)


def taken(counters: Counters) -> dict[str, Tally]:
    """All that waits in one place, moved."""
    found: dict[str, Tally] = {}
    for batch in counters.batches():
        assert not found.keys() & batch.tallies.keys()
        found.update(batch.tallies)
    return found


def counts(*places: Counters) -> dict[str, int]:
    """How often each name was tallied in these places, moved."""
    total = Counter[str]()
    for place in places:
        total.update({name: tally.count for name, tally in taken(place).items()})
    return dict(total)


class TestTallying:
    def test_they_add_up_by_name_until_they_are_moved(self, make: Make) -> None:
        for name in ("one", "two", "one"):
            make().tally(name)
        assert counts(make()) == {"one": 2, "two": 1}
        assert counts(make()) == {}
        make().tally("one")
        assert counts(make()) == {"one": 1}

    def test_the_note_with_the_latest_time_is_kept(self, counters: Counters) -> None:
        times = (1770120000000001, 1770120000000003, 1770120000000002, 0)
        for at in times:
            counters.tally("name", at=at, note=f"{at} is when")
        assert taken(counters) == {"name": Tally(4, 1770120000000003, "1770120000000003 is when")}

    def test_of_one_time_the_later_note_is_kept(self, counters: Counters) -> None:
        for note in ("first", "", "second"):
            counters.tally("name", at=7, note=note)
        assert taken(counters) == {"name": Tally(3, 7, "second")}

    def test_threads_lose_none(self, make: Make) -> None:
        def tally() -> None:
            counters = make()
            for number in range(50):
                counters.tally("name", ride=bool(number % 2))
                check(counters)

        threads = [threading.Thread(target=tally) for _ in range(8)]
        for thread in threads:
            thread.start()
        moved = sum(counts(*make().places).get("name", 0) for _ in range(20))
        for thread in threads:
            thread.join()
        assert moved + counts(*make().places).get("name", 0) == 400

    def test_prefixes_are_apart_and_clear_removes_them(self, make: Make) -> None:
        here, there = make(KEY_PREFIX=uuid4().hex), make(KEY_PREFIX=uuid4().hex)
        here.tally("name")
        assert counts(there) == {}
        here.clear()
        assert counts(here) == {}

    def test_they_are_in_no_counters_way(self, counters: Counters) -> None:
        counters.tally("bucket")
        assert [check(counters), check(counters)] == [1, 2]
        assert counts(counters) == {"bucket": 1}


class TestMoving:
    def test_a_batch_is_handed_on_until_the_next_is_asked_for(self, make: Make) -> None:
        make().tally("name")
        first = next(make().batches())
        make().tally("name")
        make().tally("other")
        again = list(make().batches())
        assert again[0] == first
        assert [dict(batch.tallies) for batch in again] == [
            {"name": Tally(1, 0, "")},
            {"name": Tally(1, 0, ""), "other": Tally(1, 0, "")},
        ]
        assert again[0].id != again[1].id
        assert list(make().batches()) == []

    def test_one_who_comes_late_to_a_batch_drops_no_other(self, make: Make) -> None:
        make().tally("name")
        late, soon = make().batches(), make().batches()
        assert next(late).id == next(soon).id
        make().tally("name")
        second = next(soon)
        assert list(late) == []
        assert list(make().batches()) == [second]

    def test_tallying_goes_on_while_a_batch_waits(self, make: Make) -> None:
        make().tally("name")
        next(make().batches())
        for _ in range(3):
            make().tally("name")
        assert [batch.tallies["name"].count for batch in make().batches()] == [1, 3]

    def test_many_names_are_one_batch(self, counters: Counters) -> None:
        for number in range(500):
            counters.tally(f"{number}", at=number, note=f"note of {number}")
        (batch,) = counters.batches()
        assert batch.tallies == {f"{n}": Tally(1, n, f"note of {n}") for n in range(500)}


class TestOnce:
    def test_one_of_many_is_the_first(self, make: Make) -> None:
        firsts: list[bool] = []

        def ask() -> None:
            firsts.append(make().once("minute 7", 60))

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(firsts) == [False] * 15 + [True]

    def test_another_name_has_a_first_of_its_own(self, counters: Counters) -> None:
        assert [counters.once(name, 60) for name in "aab"] == [True, False, True]


@pytest.mark.engine
class TestRiding:
    def trips(self, valkey: Engine, work: Callable[[], Any]) -> int:
        """How often the server read from a socket meanwhile, but for our asking."""
        with Redis.from_url(valkey.url) as client:

            def reads() -> int:
                stats: Any = client.info("stats")
                return int(stats["total_reads_processed"])

            reads()
            before = reads()
            work()
            return reads() - before - 1

    def test_a_tally_that_rides_costs_no_trip(self, shared: SharedCounters, valkey: Engine) -> None:
        def ride() -> int:
            shared.tally("name", ride=True)
            return check(shared)

        check(shared)
        assert self.trips(valkey, lambda: [check(shared) for _ in range(10)]) == 10
        assert self.trips(valkey, lambda: [ride() for _ in range(10)]) == 10
        assert self.trips(valkey, lambda: shared.tally("name")) == 1
        assert counts(shared) == {"name": 11}

    def test_a_second_one_does_not_push_the_first_off(self, shared: SharedCounters) -> None:
        for name in ("first", "second"):
            shared.tally(name, ride=True)
        check(shared)
        assert counts(*shared.places) == {"first": 1, "second": 1}


@pytest.mark.engine
class TestServerAway:
    @pytest.fixture
    def valkey(self) -> Iterator[Engine]:
        valkey = require(lambda: start_valkey(free_port()))
        yield valkey
        valkey.stop()

    def test_this_host_tallies_and_hands_on_what_the_server_does_not_take(
        self, shared: SharedCounters, valkey: Engine
    ) -> None:
        check(shared)
        valkey.stop()
        for ride in (True, False, True):
            shared.tally("name", ride=ride)
            check(shared)
        server, host = shared.places
        assert list(server.batches()) == []
        assert counts(host) == {"name": 3}

    def test_a_rider_waits_for_no_server_that_is_left_alone(
        self, shared: SharedCounters, valkey: Engine
    ) -> None:
        check(shared)
        valkey.stop()
        check(shared)
        assert shared.breaker.is_open
        for key in ("new", "new", "newer"):
            shared.tally("name", ride=True)
            check(shared, key)
        assert counts(shared.places[1]) == {"name": 3}

    def test_a_server_that_hangs_loses_none(self, shared: SharedCounters, valkey: Engine) -> None:
        check(shared)
        valkey.pause()
        try:
            shared.tally("name", ride=True)
            check(shared)
            assert counts(shared.places[1]) == {"name": 1}
            shared.tally("name")
            assert counts(shared.places[1]) == {"name": 1}
        finally:
            valkey.resume()

    def test_a_server_that_refuses_the_tally_alone_still_counts(
        self, shared: SharedCounters, valkey: Engine
    ) -> None:
        with Redis.from_url(valkey.url) as client:
            client.set(shared.make_key(tallies_name(tag_of(""))), "no hash")
        assert check(shared) == 1
        shared.tally("name", ride=True)
        assert [check(shared), check(shared)] == [2, 3]
        assert not shared.breaker.is_open
        assert counts(shared.places[1]) == {"name": 1}

    def test_a_batch_that_could_not_be_dropped_is_handed_on_again(
        self, shared: SharedCounters
    ) -> None:
        shared.tally("name")
        batches = shared.batches()
        first = next(batches)
        with mock.patch.object(shared._server, "call", side_effect=ServerAway):
            assert list(batches) == []
        assert list(shared.batches()) == [first]
