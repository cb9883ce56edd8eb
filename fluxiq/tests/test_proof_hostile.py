"""Two workers without a proxy in front, under clients that hold on to all that they can get."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from fluxiq.tests.hostile_clients import KINDS, Attack, SignIns, by_client, bystanders, p95
from fluxiq.tests.load import Load, statuses
from fluxiq.tests.served import NO_LIMITS, SERVERS, Service, serving

pytestmark = pytest.mark.proof

CONNECTIONS = 200
CLIENTS = 16
SECONDS = 40  # more than gunicorn waits for a worker that does nothing else
SLOWEST = 0.5
MEMORY_MIB = 110
HASHES_MIB = 2 * 46  # of argon2id, at once on two cores; their memory comes on top
DESCRIPTORS = 2 * 40  # of workers that serve nobody hostile
DATABASE_CONNECTIONS = 2 * (4 + 4)  # workers, their threads, and what works beside the requests


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(SERVERS, NO_LIMITS, workers=2) as running:
        yield running


def resident(pids: set[int]) -> float:
    """The MiB of the largest of these processes."""
    sizes = [re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()) for pid in pids]
    return max(int(size[1]) for size in sizes if size) / 1024


def descriptors(pids: set[int]) -> int:
    """How many files and sockets these processes have open."""
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)


def database_connections(service: Service) -> int:
    """How many connections the service's database has."""
    ask = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    with psycopg.connect(service.environment["DATABASE_URL"]) as own:
        row = own.execute(ask).fetchone()
    assert row is not None
    return int(row[0]) - 1


def trial(
    service: Service, what: str, attack: Attack | SignIns, most_memory: float = MEMORY_MIB
) -> None:
    """Print what bystanders had of it, and hold it to what is promised."""
    gunicorn = service.gunicorn
    before = gunicorn.workers()
    with attack:
        with Load(*bystanders(gunicorn.port, service.demo["key"])) as load:
            time.sleep(SECONDS)
        memory, held = resident(gunicorn.workers()), database_connections(service)
        opened = descriptors(gunicorn.workers())
    slow = {name: round(value, 3) for name, value in by_client(load.seen, p95).items()}
    after = gunicorn.workers()
    print(
        f"\n{what}: p95 {slow} of {len(load.seen)} answers, {dict(statuses(load.seen))};"
        f" {len(before - after)} workers killed; {memory:.0f} MiB, {held} database connections,"
        f" {opened} descriptors;"
        f" {attack.told()}"
    )
    assert set(statuses(load.seen)) == {200}
    assert max(slow.values()) <= SLOWEST
    assert after == before
    assert memory <= most_memory
    assert held <= DATABASE_CONNECTIONS
    assert opened <= DESCRIPTORS + attack.reopened


@pytest.mark.parametrize("kind", [*KINDS, "all kinds"])
def test_two_hundred_connections_hold_up_nobody(service: Service, kind: str) -> None:
    kinds = tuple(KINDS) if kind == "all kinds" else (kind,)
    attack = Attack(service.gunicorn.port, CONNECTIONS, kinds)
    trial(service, f"{CONNECTIONS} connections: {kind}", attack)


def test_sixteen_who_sign_in_without_pause_hold_up_nobody(service: Service) -> None:
    document = service.demo["users"][1]["document"]
    attack = SignIns(service.gunicorn.port, document, CLIENTS)
    most = MEMORY_MIB + HASHES_MIB
    trial(service, f"{CLIENTS} clients that sign in without pause", attack, most)
