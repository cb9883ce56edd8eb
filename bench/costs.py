"""What a request costs each part, in processor time: the service, Valkey, PostgreSQL. Linux; from
the root:

    .venv/bin/python -m bench.costs

The processor time of each server's processes (/proc, and Valkey's own INFO) while wrk drives one
kind of request, divided by the requests that were answered. So it does not matter that all of them
share the cores with wrk, and the figures are what `bench.capacity` is fed with.
"""

import json
import shlex
import socket
import time
from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict

import psycopg
import redis

from bench import load
from bench.calls import ACCOUNTS, VERIFY, WARM_UP_SECONDS, bearer
from bench.growth import PLANT
from bench.options import parser, prepare
from bench.processors import SECONDS, Cost, Drive, Watched, spent
from bench.refresh import REFRESH, SESSIONS
from bench.report import Failed, Report, keep, machine, say
from bench.servers import PEOPLE, THREADS, Served, engines, filled, forget, nodes_of, service
from bench.signin import LOGIN
from fluxiq.tests.engines import Engine
from fluxiq.tests.postgres_server import database
from fluxiq.tests.valkey_server import start_cluster

NODES = 3
CONNECTIONS = 64  # of a Valkey that is never idle
PLANTED = 100_000  # keys and sessions, whose size on disk is taken
USED = 2_000  # keys whose use is moved to the database
EVENTS = 2_000  # that are sealed
BOUND = "UPDATE authn_apikey SET allowed_ips = '[\"127.0.0.0/8\"]'"
SIZES = {
    "an API key": ("authn_apikey",),
    "a session": ("authn_session", "token_blacklist_outstandingtoken"),
}
EVENT_TABLES = ("audit_auditevent", "audit_seal")


def _pid(engine: Engine) -> int:
    if engine.process is None:
        raise Failed("only servers that the measurement starts can be watched")
    return engine.process.pid


def driving(
    served: Served, path: str, values: Sequence[str], kind: str = "header", token: str = ""
) -> Drive:
    """One kind of request. `token` is the name of the one that an answer holds for the next."""
    options = {"BENCH_SENDS": token, "BENCH_ANSWERS": token} if token else {}
    return lambda seconds: load.drive(
        served.at(path), values, kind=kind, seconds=seconds, options=options
    )


def of_calls(watched: Watched, *, signing_in: bool) -> dict[str, Cost]:
    """What each kind of request costs; `signing_in`: those that write, too."""
    served = watched.served
    keys, tokens = bearer(served.cast["keys"]), bearer(served.cast["tokens"])
    drives = {
        "verify, API key": driving(served, VERIFY, keys),
        "verify, access token": driving(served, VERIFY, tokens),
        "accounts, API key": driving(served, ACCOUNTS, keys),
    }
    if signing_in:
        bodies = [
            json.dumps({"document": document, "password": served.cast["password"]})
            for document in served.cast["documents"]
        ]
        # No more than one worker hashes at once, whichever worker they are connected to.
        drives["sign-in"] = lambda seconds: load.drive(
            served.at(LOGIN), bodies, kind="body", seconds=seconds, connections=THREADS // 2
        )
    found = {}
    for name, drive in drives.items():
        drive(WARM_UP_SECONDS)
        found[name] = watched.cost(drive)
    if signing_in:  # without a warm-up: each session goes on from its last token
        refresh = driving(served, REFRESH, served.cast["refresh"], "chain", "refresh_token")
        found["refresh"] = watched.cost(refresh)
    for name, cost in found.items():
        say(f"  {name}: {_line(cost)}")
    return found


def _line(cost: Cost) -> str:
    nodes = " ".join(f"{node:.1f}" for node in cost.valkey)
    return (
        f"{cost.service:.0f} µs service, {nodes or '0'} µs Valkey ({cost.commands:.2f} commands),"
        f" {cost.postgres:.0f} µs PostgreSQL; {cost.per_core:.0f}/s of a core"
    )


def saturated(served: Served, node: redis.Redis, credential: str) -> float:
    """Microseconds of Valkey for a request's script where it is never idle.

    Its event loop then serves many connections at each turn, and a request costs it less than it
    does among the few of a small machine. The script is one that the service sent.
    """
    with node.monitor() as monitor:  # type: ignore[no-untyped-call]
        load.ask(served.at(VERIFY)[0], credential)
        sent = next(each["command"] for each in monitor.listen() if "EVALSHA" in each["command"])
    arguments = [part.encode() for part in shlex.split(sent)]
    command = b"*%d\r\n" % len(arguments)
    command += b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in arguments)
    pool = node.connection_pool.connection_kwargs
    address = (str(pool["host"]), int(pool["port"]))
    wires = [socket.create_connection(address) for _ in range(CONNECTIONS)]
    began = node.info("cpu")
    end, count = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        for wire in wires:
            wire.sendall(command)
        for wire in wires:
            if not wire.recv(65536).startswith(b"*"):
                raise Failed(f"Valkey did not take what the service sends: {sent}")
        count += len(wires)
    after = node.info("cpu")
    for wire in wires:
        wire.close()
    took = sum(after[name] - began[name] for name in ("used_cpu_sys", "used_cpu_user"))
    return float(took) / count * 1e6


def remembered_bytes(node: redis.Redis, callers: int) -> float:
    """What Valkey holds for a caller, in bytes: its counter, and what is remembered of it."""
    return sum(int(node.memory_usage(key) or 0) for key in node.scan_iter(count=1000)) / callers


def of_writes(served: Served, postgres: int) -> dict[str, float]:
    """What moving the use of a key, and sealing an event, takes: seconds, and of PostgreSQL."""
    filled(served.environment, f"used({USED})")
    before = spent(postgres)
    moved = filled(served.environment, "move_uses()")
    between = spent(postgres)
    sealed = filled(served.environment, f"events({EVENTS})")
    after = spent(postgres)
    return {
        "µs to move a key's use": moved["seconds"] / moved["rows"] * 1e6,
        "µs of PostgreSQL for it": (between - before) / moved["rows"] * 1e6,
        "µs to seal an event": sealed["seconds"] / sealed["sealed"] * 1e6,
        "µs of PostgreSQL for it, and for writing it": (after - between) / EVENTS * 1e6,
    }


def on_disk(url: str) -> dict[str, float]:
    """Bytes in PostgreSQL, indexes and all, of a key, a session and an event."""
    with psycopg.connect(url, autocommit=True) as connection:

        def size(tables: Sequence[str]) -> int:
            asked = "SELECT sum(pg_total_relation_size(t::regclass)) FROM unnest(%s::text[]) AS t"
            row = connection.execute(asked, [list(tables)]).fetchone()
            return int(row[0]) if row else 0

        def count(table: str) -> int:
            row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - a constant's
            return int(row[0]) if row else 0

        events = size(EVENT_TABLES) / count(EVENT_TABLES[0])
        before = {what: size(tables) for what, tables in SIZES.items()}
        for statement in PLANT:
            connection.execute(statement, {"count": PLANTED})
        grown = {what: (size(SIZES[what]) - before[what]) / PLANTED for what in SIZES}
        return {**grown, "an audit event, with its seal": events}


def measure() -> Report:
    """All of it: with one Valkey, looked up without one, and on a cluster of three."""
    figures: dict[str, object] = {}
    with ExitStack() as stack:
        at = stack.enter_context(engines())
        postgres = _pid(at.postgres)
        url = stack.enter_context(database(at.postgres))
        fill = f"people({PEOPLE}, more_sessions={SESSIONS})"
        with service(url, at.valkey.url, fill=fill) as served:
            node = redis.Redis.from_url(at.valkey.url)
            watched = Watched(served, postgres, [node])
            say("Remembered, one Valkey")
            one = of_calls(watched, signing_in=True)
            forget(at.valkey.url)
            keys, tokens = bearer(served.cast["keys"]), bearer(served.cast["tokens"])
            for values, what in ((keys, "a key"), (tokens, "a session and its user")):
                load.drive(served.at(VERIFY), values, seconds=1)
                figures[f"bytes of Valkey for {what}"] = remembered_bytes(node, PEOPLE)
                forget(at.valkey.url)
            credential = keys[0]
            for _ in range(2):
                load.ask(served.at(VERIFY)[0], credential)
            figures["µs of a busy Valkey"] = saturated(served, node, credential)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(BOUND)
            forget(at.valkey.url)
            say("Bound to addresses, and so looked up each time")
            bound = watched.cost(driving(served, VERIFY, keys))
            say(f"  verify, API key: {_line(bound)}")
        figures.update(of_writes(served, postgres))  # while no worker does the same
        with service(url, "", fill="") as bare:
            looking = Served(bare.urls, bare.pid, bare.environment, served.cast)
            say("Without Valkey: each session looked up")
            looked_up = of_calls(Watched(looking, postgres, []), signing_in=False)
        figures["bytes of PostgreSQL"] = on_disk(url)
        cluster_url, servers = start_cluster(NODES)
        for server in servers:
            stack.callback(server.stop)
        other = stack.enter_context(database(at.postgres))
        with service(other, cluster_url) as served:
            nodes = [redis.Redis.from_url(each) for each in nodes_of(cluster_url)]
            say(f"Remembered, a cluster of {NODES}")
            clustered = of_calls(Watched(served, postgres, nodes), signing_in=False)
    for what, figure in figures.items():
        say(f"{what}: {figure}")
    every = {
        "one Valkey": one,
        "bound": {"verify, API key": bound},
        "no Valkey": looked_up,
        "a cluster": clustered,
    }
    costs = {how: {n: asdict(c) for n, c in each.items()} for how, each in every.items()}
    return Report([], {"costs": costs, **figures})


def main() -> None:
    """Measure, print, and write the figures."""
    options: Namespace = parser().parse_args()
    prepare()
    report = measure()
    keep(options.out, "costs", report, {"seconds": SECONDS})
    about = machine()
    say(f"{about['date']}, {about['cores']} cores, {about['processor']}; in {options.out}")


if __name__ == "__main__":
    main()
