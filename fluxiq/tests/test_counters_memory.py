"""Tombstones on a real Valkey: laid over what is remembered, also where it answers late."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from redis import Redis

from fluxiq.counters import Memory, SharedCounters
from fluxiq.counters.memory import TOMBSTONE
from fluxiq.tests.engines import Engine, free_port, require
from fluxiq.tests.valkey_server import start_valkey

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def valkey() -> Iterator[Engine]:
    valkey = require(lambda: start_valkey(free_port()))
    yield valkey
    valkey.stop()


@pytest.fixture
def client(valkey: Engine) -> Iterator[Redis]:
    with Redis.from_url(valkey.url, decode_responses=True) as client:
        yield client


@pytest.fixture
def shared(valkey: Engine, tmp_path: Path) -> SharedCounters:
    options = {"fallback": tmp_path / "private" / "counters.sqlite3", "probe_seconds": 60}
    return SharedCounters(valkey.url, {"KEY_PREFIX": uuid4().hex, "OPTIONS": options})


@pytest.fixture
def memory(shared: SharedCounters) -> Memory:
    assert shared.memory is not None
    return shared.memory


def test_a_tombstone_lies_over_the_entry(
    shared: SharedCounters, memory: Memory, client: Redis
) -> None:
    memory.remember({"name": "entry"}, 10)
    assert client.get(shared.make_key("name")) == "entry"

    assert memory.bury(["name", "other"])
    memory.remember({"name": "entry"}, 10)

    for name in ("name", "other"):
        assert client.get(shared.make_key(name)) == TOMBSTONE


def test_it_is_laid_where_the_server_answers_late(
    shared: SharedCounters, memory: Memory, client: Redis
) -> None:
    memory.remember({"name": "entry"}, 10)
    client.client_pause(180)

    assert memory.bury(["name"])

    assert client.get(shared.make_key("name")) == TOMBSTONE


def test_it_is_laid_while_the_server_is_left_alone(
    shared: SharedCounters, memory: Memory, client: Redis
) -> None:
    shared.breaker.open(OSError("late once"))

    assert memory.bury(["name"])

    assert client.get(shared.make_key("name")) == TOMBSTONE


def test_one_that_cannot_be_laid_is_told(valkey: Engine, memory: Memory) -> None:
    valkey.pause()
    try:
        assert not memory.bury(["name"])
    finally:
        valkey.resume()
