"""How far it goes: what so many requests a second and so many keys ask of each part. From the root:

    .venv/bin/python -m bench.capacity

A calculation, no measurement: what a request costs each part (`Measured`, by `bench.costs`) times
how often it comes. What is assumed of the callers and chosen of the machines stands in
`bench.assumptions`; docs/scaling.md explains both and says where they were compared with what runs.
"""

import argparse
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from redis.crc import key_slot

from authn.remembered import LIFETIME
from bench.assumptions import Load, Machines, Measured
from bench.report import paste, say
from fluxiq.counters.naming import every_tag

DOCUMENT = Path("docs") / "scaling.md"
SLOTS = 16384  # of a cluster
MINUTE = 60.0
ACCESS_SECONDS = 15 * 60.0  # after which an access token is refreshed


@dataclass(frozen=True, slots=True)
class Need:
    """What a load asks of each part. Cores are wholly used ones; `Machines.used` comes on top."""

    looked_up: float  # requests a second for which the database is asked who it is
    service_cores: float
    valkey_cores: float
    valkey_gib: float
    postgres_cores: float
    postgres_gib: float
    connections: float
    moving: float  # of the one thread that moves the use of keys: 1 is all of its time
    sealing: float  # of the one worker that seals at a time


def share_looked_up(rate: float, lifetime: float = LIFETIME) -> float:
    """Of the requests of a caller who makes `rate` a second, at random, those that find no entry.

    Each that finds none makes one, and the rate times lifetime that follow find it.
    """
    return 1 / (1 + rate * lifetime)


def share_seen(rate: float, seconds: float) -> float:
    """How likely a caller who makes `rate` requests a second makes any in so many seconds."""
    return -math.expm1(-rate * seconds)


def need(load: Load, measured: Measured, machines: Machines, *, cluster: bool = True) -> Need:
    """What this load asks of each part."""
    groups = load.rates()
    looked_up = sum(count * rate * share_looked_up(rate) for count, rate in groups)
    known = load.requests - looked_up
    users, keys = load.tokens * load.callers, (1 - load.tokens) * load.callers
    # Of the users, those who are here now refresh; and each signs in now and then.
    here = load.tokens * sum(count * share_seen(rate, ACCESS_SECONDS) for count, rate in groups)
    refreshes = here / ACCESS_SECONDS
    sign_ins = users / (load.days_between_sign_ins * 86_400)
    token, key = load.tokens, 1 - load.tokens
    service = (
        known * (key * measured.service_key + token * measured.service_token)
        + looked_up
        * (key * measured.service_key_looked_up + token * measured.service_token_looked_up)
        + refreshes * measured.service_refresh
        + sign_ins * measured.service_sign_in
        + (load.requests * measured.of_a_cluster if cluster else 0)
    ) / 1e6
    # An entry lives for ten seconds and a count for a minute: what is held is of those seen lately.
    lately = sum(count * share_seen(rate, MINUTE) for count, rate in groups)
    moves = key * lately / MINUTE
    postgres = (
        looked_up * (key * measured.postgres_key + token * measured.postgres_session)
        + refreshes * measured.postgres_refresh
        + sign_ins * measured.postgres_sign_in
        + moves * measured.postgres_moving
    ) / 1e6
    valkey_bytes = lately * (key * measured.valkey_bytes_key + token * measured.valkey_bytes_user)
    events = 2 * sign_ins  # a session that starts, and one that ends
    on_disk = (
        keys * measured.postgres_bytes_key
        + users * measured.postgres_bytes_session
        + events * load.kept_days * 86_400 * measured.postgres_bytes_event
    )
    return Need(
        looked_up=looked_up,
        service_cores=service,
        valkey_cores=load.requests * measured.valkey / 1e6,
        valkey_gib=valkey_bytes / 2**30,
        postgres_cores=postgres,
        postgres_gib=on_disk / 2**30,
        connections=service / machines.used * machines.connections_per_core,
        moving=moves * measured.moving / 1e6,
        sealing=events * measured.sealing / 1e6,
    )


@dataclass(frozen=True, slots=True)
class Wall:
    """Where one of a part is all used, and what is done about it."""

    part: str
    requests: float  # a second
    then: str


# How much of one of each part a load uses: 1 is all that `Machines` lets it.
_PARTS: Mapping[str, str] = {
    "one host": "more hosts: nothing is kept on one",
    "one Valkey": "a cluster: `REDIS_URL=redis+cluster://…`",
    "the connections of one PostgreSQL": "PgBouncer, in transaction mode",
    "the cores of one PostgreSQL": "a larger one, or several installations",
    "the one thread that moves the use of keys": "several installations, or a change (below)",
    "the one worker that seals the trail": "several installations",
}


def uses(load: Load, measured: Measured, machines: Machines) -> dict[str, float]:
    """How much of one of each part this load uses; 1 is all that it may be used."""
    asked = need(load, measured, machines, cluster=False)
    each = (
        asked.service_cores / machines.host_cores / machines.used,
        max(asked.valkey_cores, asked.valkey_gib / machines.valkey_gib) / machines.used,
        asked.connections / machines.postgres_connections,
        asked.postgres_cores / machines.postgres_cores / machines.used,
        asked.moving / machines.used,
        asked.sealing / machines.used,
    )
    return dict(zip(_PARTS, each, strict=True))


def grown(load: Load, requests: float) -> Load:
    """The same callers' kind of load, of more or fewer of them: so many requests a second."""
    return replace(load, requests=requests, callers=load.callers * requests / load.requests)


def walls(load: Load, measured: Measured, machines: Machines) -> list[Wall]:
    """Where each part stands in the way as a load of this kind grows, the nearest first."""
    # Keys and requests grow together, and so does all that is asked: by the same factor.
    found = uses(load, measured, machines)
    each = [Wall(part, load.requests / used, _PARTS[part]) for part, used in found.items() if used]
    return sorted(each, key=lambda wall: wall.requests)


# What one installation has one of, however many hosts and nodes it has.
ALONE = (
    "the cores of one PostgreSQL",
    "the one thread that moves the use of keys",
    "the one worker that seals the trail",
)


def installations(load: Load, measured: Measured, machines: Machines) -> int:
    """How many, each whole and with callers of its own, this load takes."""
    used = uses(load, measured, machines)
    return max(1, math.ceil(max(used[part] for part in ALONE)))


def busiest(nodes: int) -> float:
    """The share of all callers that lie on the fullest of so many nodes, with slots dealt evenly.

    What is a caller's lies in one of SHARDS, and a shard on one node.
    """
    counts = [0] * nodes
    for tag in every_tag():
        counts[key_slot(tag.encode()) * nodes // SLOTS] += 1
    return max(counts) / sum(counts)


def nodes_for(cores: float, machines: Machines) -> int:
    """How many Valkey nodes serve so many cores' worth, with none above what it may be used."""
    nodes = max(1, math.ceil(cores / machines.used))
    while cores * busiest(nodes) > machines.used:
        nodes += 1
        if nodes > len(every_tag()):
            raise ValueError("more than the shards can be dealt out to")
    return nodes


@dataclass(frozen=True, slots=True)
class Bound:
    """How long after a revocation was answered it may still be accepted, in seconds."""

    where: str
    worst: float
    usual: float  # of a caller who never pauses, on average


def revocations(lag: float) -> list[Bound]:
    """The bounds, in one region and in several; `lag` is a replica's behind its primary."""
    return [
        Bound("the region it was made in, on any host", 0, 0),
        Bound("the same, its Valkey out of reach of the revoking host alone", LIFETIME, 0),
        Bound(
            "another region with a Valkey of its own, the same database",
            LIFETIME,
            LIFETIME / 2,
        ),
        Bound(
            f"the same, if it could read a replica {lag:g} s behind",
            lag + LIFETIME,
            lag + LIFETIME / 2,
        ),
    ]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a simulation saw."""

    looked_up: float  # share of the requests
    accepted_for: float  # seconds after the revocation


def simulate(rate: float, *, seconds: float, revoked_at: float, lag: float, seed: int) -> Seen:
    """One caller in a region that hears of no tombstone, request by request.

    A request that finds no entry reads the database as it was `lag` before, and makes one that
    lives for LIFETIME from then. Revoked at `revoked_at` in another region.
    """
    chance = random.Random(seed)  # noqa: S311 - a simulation
    now, until, asked, count, last = 0.0, 0.0, 0, 0, 0.0
    while now < seconds:
        now += chance.expovariate(rate)
        count += 1
        if now >= until:
            asked += 1
            if now - lag >= revoked_at:
                continue  # refused: this database knows of it by now
            until = now + LIFETIME
        last = now
    return Seen(asked / count, max(0.0, last - revoked_at))


SIZES = ((1_000, 100_000), (10_000, 1_000_000), (100_000, 10_000_000), (1_000_000, 100_000_000))


def report(measured: Measured, machines: Machines) -> str:
    """All of it, as Markdown."""
    lines = [
        f"From what was measured on {measured.where}.",
        "",
        "| requests a second | keys and users | looked up | service cores | hosts |"
        " Valkey nodes, GiB | PostgreSQL cores, GiB | installations |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for requests, callers in SIZES:
        load = Load(requests, callers)
        apart = installations(load, measured, machines)
        asked = need(load, measured, machines, cluster=nodes_alone(load, measured, machines) > 1)
        one = need(grown(load, requests / apart), measured, machines)
        nodes = apart * nodes_for(one.valkey_cores, machines)
        hosts = math.ceil(asked.service_cores / machines.used / machines.host_cores)
        lines.append(
            f"| {requests:,} | {callers:,} | {asked.looked_up / requests:.0%} |"
            f" {asked.service_cores / machines.used:,.0f} | {hosts:,} | {nodes:,},"
            f" {asked.valkey_gib:,.1f} | {asked.postgres_cores / machines.used:,.1f},"
            f" {asked.postgres_gib:,.0f} | {apart:,} |"
        )
    load = Load(*SIZES[-1])
    lines += ["", "| wall | at requests a second | then |", "|---|---|---|"]
    lines += [
        f"| {wall.part} | {wall.requests:,.0f} | {wall.then} |"
        for wall in walls(load, measured, machines)
    ]
    return "\n".join(lines)


def nodes_alone(load: Load, measured: Measured, machines: Machines) -> int:
    """How many Valkey nodes one of the installations takes."""
    one = grown(load, load.requests / installations(load, measured, machines))
    return nodes_for(need(one, measured, machines).valkey_cores, machines)


def main() -> None:
    """Print the tables; with --write, renew those of the document."""
    options = argparse.ArgumentParser(description=main.__doc__)
    options.add_argument("--write", action="store_true", help=f"renew the tables of {DOCUMENT}")
    text = report(Measured(), Machines())
    say(text)
    if options.parse_args().write:
        paste(DOCUMENT, text)


if __name__ == "__main__":
    main()
