"""SharedCounters on a real cluster of three nodes: one trip, exact, and nothing lost."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured
from redis import Redis

from fluxiq.counters import SharedCounters, Tallied, tag_of
from fluxiq.tests.engines import Engine, free_port, require
from fluxiq.tests.valkey_server import start_cluster
from fluxiq.tests.waiting import wait_until

pytestmark = pytest.mark.engine

OWNERS = [f"key-{number}" for number in range(40)]


class Nodes:
    """The cluster: its URL, and what its nodes were asked."""

    def __init__(self, url: str, servers: list[Engine]) -> None:
        self.url = url
        self.servers = servers
        self.clients = [Redis.from_url(server.url) for server in servers]

    def calls(self) -> dict[str, int]:
        """How often each command was called, on all nodes, by clients and scripts."""
        total = Counter[str]()
        for client in self.clients:
            stats = client.info("commandstats")
            total.update({name.removeprefix("cmdstat_"): s["calls"] for name, s in stats.items()})
        return dict(total)

    def keys_of(self, prefix: str) -> list[list[bytes]]:
        """The keys of that prefix, node by node."""
        return [list(client.scan_iter(f"{prefix}:*")) for client in self.clients]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    url, servers = require(start_cluster)
    nodes = Nodes(url, servers)
    yield nodes
    for client in nodes.clients:
        client.close()
    for server in servers:
        server.stop()


@pytest.fixture
def counters(nodes: Nodes, tmp_path: Path) -> SharedCounters:
    return made(nodes.url, tmp_path)


def made(url: str, directory: Path, **options: float) -> SharedCounters:
    fallback = directory / "private" / "counters.sqlite3"
    return SharedCounters(
        url, {"KEY_PREFIX": uuid4().hex, "OPTIONS": {"fallback": fallback, **options}}
    )


def count(counters: SharedCounters, owner: str) -> int:
    """Count one as django-ratelimit does."""
    key = f"{tag_of(owner)}{owner}"
    return 1 if counters.add(key, 1, 65) else counters.incr(key)


def recall(counters: SharedCounters, owner: str) -> list[bytes] | None:
    """Count one if the owner is remembered; what is remembered then, else None."""
    assert counters.memory is not None
    tallied = Tallied("1", "admitted", 1, "192.0.2.1")
    with counters.memory.asking(owner, [f"{tag_of(owner)}{owner}:key"], tallied) as asked:
        try:
            count(counters, owner)
        except ValueError:
            return None
    return asked.entries


def remember(counters: SharedCounters, owner: str, entry: str) -> None:
    assert counters.memory is not None
    counters.memory.remember({f"{tag_of(owner)}{owner}:key": entry}, 10)


def tallied(counters: SharedCounters) -> dict[str, int]:
    """All tallies that wait, moved."""
    found = Counter[str]()
    for place in counters.places:
        for batch in place.batches():
            found.update({name: tally.count for name, tally in batch.tallies.items()})
    return dict(found)


def test_owners_are_spread_over_all_nodes_and_each_lies_on_one(
    nodes: Nodes, counters: SharedCounters
) -> None:
    for owner in OWNERS:
        remember(counters, owner, f'["{owner:>30}"]')
        assert recall(counters, owner) is not None

    by_node = nodes.keys_of(counters.key_prefix)
    homes: dict[str, set[int]] = {}
    for number, names in enumerate(by_node):
        for name in names:
            for owner in OWNERS:
                if f"}}{owner}" in name.decode().replace(":key", ""):
                    homes.setdefault(owner, set()).add(number)
    assert all(by_node)
    assert homes.keys() == set(OWNERS)


def test_a_recall_is_one_command(nodes: Nodes, counters: SharedCounters) -> None:
    owner = "one-trip"
    remember(counters, owner, f'["{owner:>30}"]')
    recall(counters, owner)

    before = nodes.calls()
    for _ in range(20):
        assert recall(counters, owner) == [f'["{owner:>30}"]'.encode()]
    after = nodes.calls()

    sent = {name: after[name] - before.get(name, 0) for name in after}
    of_clients = {"evalsha", "eval", "get", "set", "cluster|slots", "cluster|shards"}
    assert {name: calls for name, calls in sent.items() if name in of_clients and calls} == {
        "evalsha": 20
    }


def test_threads_count_one_owner_exactly(counters: SharedCounters) -> None:
    seen: list[int] = []

    def some() -> None:
        seen.extend(count(counters, "busy") for _ in range(50))

    threads = [threading.Thread(target=some) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(seen) == list(range(1, 401))
    assert not counters.breaker.is_open


def test_the_tallies_of_every_shard_are_moved_once(counters: SharedCounters) -> None:
    for owner in OWNERS:
        counters.tally(f"1 {owner} admitted", owner=owner)
        counters.tally(f"1 {owner} admitted", owner=owner, ride=True)
        count(counters, owner)

    assert tallied(counters) == {f"1 {owner} admitted": 2 for owner in OWNERS}
    assert tallied(counters) == {}


def test_a_tombstone_is_no_entry(counters: SharedCounters) -> None:
    owner = "revoked"
    remember(counters, owner, f'["{owner:>30}"]')
    assert recall(counters, owner) is not None
    assert counters.memory is not None
    assert counters.memory.bury([f"{tag_of(owner)}{owner}:key"])

    assert recall(counters, owner) is None
    remember(counters, owner, f'["{owner:>30}"]')
    assert recall(counters, owner) is None


def test_each_host_counts_while_a_node_is_away_and_together_again_after(tmp_path: Path) -> None:
    url, servers = require(start_cluster)
    counters = made(url, tmp_path, probe_seconds=0.1)
    try:
        assert [count(counters, owner) for owner in OWNERS] == [1] * len(OWNERS)
        servers[0].pause()
        assert {count(counters, owner) for owner in OWNERS} <= {1, 2}
        assert counters.breaker.is_open

        servers[0].resume()

        def is_closed() -> bool:
            count(counters, OWNERS[0])
            return not counters.breaker.is_open

        wait_until(is_closed, "the breaker's closing", pause=0.05)
        assert all(count(counters, owner) >= 2 for owner in OWNERS)
    finally:
        for server in servers:
            server.resume()
            server.stop()


def test_each_host_counts_where_no_node_answers(tmp_path: Path) -> None:
    counters = made(f"redis+cluster://127.0.0.1:{free_port()}", tmp_path)

    assert [count(counters, "busy") for _ in range(3)] == [1, 2, 3]
    assert counters.breaker.is_open


@pytest.mark.parametrize(
    "url", ["redis+cluster://", "redis+cluster://:6379", "redis+cluster://a:b"]
)
def test_a_url_without_usable_nodes_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured):
        made(url, tmp_path)
