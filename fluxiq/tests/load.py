"""Load from another process: clients who ask, and note when, how long it took, and the answer.

Run as a script it reads the clients as one line of JSON, asks until standard input closes (or until
each has asked as often as it was to), and then tells all that it saw. A test starts it with `Load`.
"""

import http.client
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple, Self

PROJECT = Path(__file__).resolve().parents[2]  # as in `engines`, which takes long to import
TIMEOUT = 30.0  # seconds; longer than anything that a test calls slow
NO_ANSWER = 0  # in the place of a status


@dataclass(frozen=True)
class Client:
    """One who asks, of one or several hosts in turn, from so many threads."""

    name: str
    ports: Sequence[int]
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    # Those of each request in turn, in place of the same each time.
    each: Sequence[Mapping[str, str]] = ()
    threads: int = 1
    keep_alive: bool = True
    pause: float = 0.0  # seconds, after each answer
    source: str = "127.0.0.1"  # the address that it comes from
    times: int = 0  # by all threads together; 0 is until it is stopped


class Seen(NamedTuple):
    """An answer, or that there was none: when it was asked for (of the monotonic clock, which all
    processes of a machine share), the seconds that it took, and what it said of the limit."""

    client: str
    asked: float
    seconds: float
    status: int
    limit: int
    reset: int
    note: str  # the state that /readyz tells, an error's code, or why there was no answer


def bearer(credential: str) -> dict[str, str]:
    """The header that carries a credential."""
    return {"Authorization": f"Bearer {credential}"}


class Load:
    """The other process, seen from a test. Leaving the block stops it; `seen` is all it saw."""

    def __init__(self, *clients: Client) -> None:
        self._orders = json.dumps([asdict(client) for client in clients])
        self._process: subprocess.Popen[str] | None = None
        self.seen: list[Seen] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fluxiq.tests.load"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(self._orders + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "started\n"
        return self

    def __exit__(self, kind: object, raised: BaseException | None, *rest: object) -> None:
        assert self._process is not None
        told, _ = self._process.communicate("")
        if raised is None:
            assert self._process.returncode == 0
            self.seen = [Seen(*row) for row in json.loads(told)]


def ask_all(*clients: Client) -> list[Seen]:
    """All answers, where each client asks so many times."""
    assert all(client.times for client in clients)
    with Load(*clients) as load:
        assert load._process is not None
        assert load._process.stdout is not None
        assert load._process.stdout.readline() == "done\n"
    return load.seen


def statuses(seen: Iterable[Seen]) -> Counter[int]:
    """How often each status came."""
    return Counter(answer.status for answer in seen)


def slowest(seen: Iterable[Seen]) -> float:
    """The seconds of the slowest answer."""
    return max(answer.seconds for answer in seen)


def by_window(seen: Iterable[Seen]) -> dict[int, Counter[int]]:
    """The statuses in each window of a limit, by its end."""
    windows: dict[int, Counter[int]] = {}
    for answer in seen:
        windows.setdefault(answer.reset, Counter())[answer.status] += 1
    return windows


class _Asker(threading.Thread):
    def __init__(
        self, client: Client, turns: "itertools.count[int]", stop: threading.Event
    ) -> None:
        super().__init__()
        self._client, self._turns, self._stopped = client, turns, stop
        self._connections: dict[int, http.client.HTTPConnection] = {}
        self.seen: list[Seen] = []

    def run(self) -> None:
        client = self._client
        while not self._stopped.is_set():
            turn = next(self._turns)
            if client.times and turn >= client.times:
                break
            self.seen.append(self._ask(client.ports[turn % len(client.ports)], turn))
            if client.pause:
                self._stopped.wait(client.pause)
        for connection in self._connections.values():
            connection.close()

    def _ask(self, port: int, turn: int) -> Seen:
        client = self._client
        headers = client.each[turn % len(client.each)] if client.each else client.headers
        connection = self._connections.get(port)
        if connection is None:
            source = (client.source, 0)
            connection = http.client.HTTPConnection("127.0.0.1", port, TIMEOUT, source)
            self._connections[port] = connection
        asked = time.monotonic()
        try:
            connection.request("GET", client.path, headers=dict(headers))
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            del self._connections[port]
            connection.close()
            took = time.monotonic() - asked
            return Seen(client.name, asked, took, NO_ANSWER, 0, 0, repr(error))
        took = time.monotonic() - asked
        if not client.keep_alive:
            del self._connections[port]
            connection.close()
        return Seen(
            client.name,
            asked,
            took,
            response.status,
            int(response.headers.get("X-RateLimit-Limit", 0)),
            int(response.headers.get("X-RateLimit-Reset", 0)),
            _note(client.path, response.status, body),
        )


def _note(path: str, status: int, body: bytes) -> str:
    if path == "/readyz" and status == HTTPStatus.OK:
        return str(json.loads(body)["data"]["status"])
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        try:
            return str(json.loads(body)["error"]["code"])
        except (ValueError, KeyError, TypeError):
            return f"no envelope: {body[:80]!r}"
    return ""


def main() -> None:
    """Ask as the first line says, until there is no more input."""
    clients = [Client(**client) for client in json.loads(sys.stdin.readline())]
    stop = threading.Event()
    askers = []
    for client in clients:
        turns = itertools.count()
        askers += [_Asker(client, turns, stop) for _ in range(client.threads)]
    for asker in askers:
        asker.start()
    print("started", flush=True)
    if all(client.times for client in clients):
        for asker in askers:
            asker.join()
        print("done", flush=True)
    sys.stdin.read()
    stop.set()
    for asker in askers:
        asker.join()
    json.dump([answer for asker in askers for answer in asker.seen], sys.stdout)


if __name__ == "__main__":
    main()
