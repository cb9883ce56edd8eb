"""Clients that cost a server as much as they can, and those who want no more than an answer."""

import http.client
import itertools
import json
import select
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from fluxiq.tests.load import Client, Seen, bearer

HEAD = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BODY = b'{"document": "'
LARGE = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

# By what they do: what they send at once, and what they go on to send a byte a second.
KINDS: dict[str, tuple[bytes, bytes]] = {
    "silent": (b"", b""),
    "half a head": (HEAD, b""),
    "half a body": (HEAD + b"Content-Length: 1000\r\n\r\n" + BODY, b""),
    "a byte a second": (b"", HEAD + b"Content-Length: 1000\r\n\r\n" + BODY),
    "never reads": (LARGE * 20, b""),
    "never closes": (LAST, b""),
}
READERS = ("silent", "half a head", "half a body", "a byte a second")
_CONNECTIONS_OF_AN_ADDRESS = 20  # fewer than a server takes from one
_TURN = 0.1


@dataclass
class _Attacker:
    """One connection, which is opened again where the server closes it."""

    kind: str
    source: str
    port: int
    opened: float = 0.0
    sent: int = 0
    connection: socket.socket | None = None
    lives: list[float] = field(default_factory=list)  # the seconds that each connection lasted

    def turn(self, now: float) -> None:
        at_once, slowly = KINDS[self.kind]
        if self.connection is None:
            self._open(now, at_once)
        elif self.sent < len(slowly) and now - self.opened > self.sent:
            with suppress(OSError):
                self.connection.send(slowly[self.sent : self.sent + 1])
            self.sent += 1
        if self.connection is not None and self._is_over():
            self.lives.append(now - self.opened)
            self.close()

    def _open(self, now: float, data: bytes) -> None:
        self.opened, self.sent = now, 0
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(1)
        try:
            connection.bind((self.source, 0))
            connection.connect(("127.0.0.1", self.port))
            connection.send(data)
        except OSError:
            connection.close()
            return
        self.connection = connection

    def _is_over(self) -> bool:
        """Whether the server has closed; without reading, where the client never reads."""
        assert self.connection is not None
        poll = select.poll()
        poll.register(self.connection, select.POLLRDHUP if self.kind in READERS else 0)
        return bool(poll.poll(0))

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Attack:
    """So many connections of each kind, from a few addresses, held for the length of the block."""

    def __init__(self, port: int, connections: int, kinds: tuple[str, ...]) -> None:
        kind = itertools.cycle(kinds)
        self._attackers = [
            _Attacker(next(kind), f"127.0.1.{1 + number // _CONNECTIONS_OF_AN_ADDRESS}", port)
            for number in range(connections)
        ]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._held = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._held.wait(60)
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def longest(self) -> dict[str, float]:
        """The longest life of a connection of each kind, of those that the server closed."""
        found: dict[str, float] = {}
        for attacker in self._attackers:
            found[attacker.kind] = max([found.get(attacker.kind, 0), *attacker.lives])
        return found

    @property
    def reopened(self) -> int:
        """How many of the connections are opened again as soon as they are closed."""
        return sum(attacker.kind in READERS for attacker in self._attackers)

    def told(self) -> str:
        """What there is to say of it."""
        lives = (f"{kind}: {seconds:.1f} s" for kind, seconds in self.longest.items() if seconds)
        return f"connections closed after up to {', '.join(lives)}"

    def _run(self) -> None:
        while not self._stop.is_set():
            for attacker in self._attackers:
                attacker.turn(time.monotonic())
            self._held.set()
            self._stop.wait(_TURN)
        for attacker in self._attackers:
            attacker.close()


class SignIns:
    """Clients who sign in with a wrong password, without pause, for the length of the block."""

    def __init__(self, port: int, document: str, clients: int) -> None:
        self._port, self._document = port, document
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(clients)]
        self.answers: Counter[int] = Counter()
        self.reopened = clients

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def told(self) -> str:
        """What there is to say of it."""
        return f"answers {dict(self.answers)}"

    def _run(self, number: int) -> None:
        source = (f"127.0.2.{1 + number}", 0)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, 60, source)
        body = json.dumps({"document": self._document, "password": f"wrong-{number}"})
        while not self._stop.is_set():
            try:
                headers = {"Content-Type": "application/json"}
                connection.request("POST", "/api/v1/auth/login", body, headers)
                response = connection.getresponse()
                response.read()
                self.answers[response.status] += 1
            except (OSError, http.client.HTTPException):
                self.answers[0] += 1
                connection.close()
        connection.close()


def bystanders(port: int, key: str) -> list[Client]:
    """Those who ask /healthz and /auth/verify, each time on a new connection."""
    ask = {"ports": (port,), "keep_alive": False, "pause": 0.05}
    return [
        Client("/healthz", path="/healthz", **ask),  # type: ignore[arg-type]
        Client(
            "/auth/verify",
            path="/api/v1/auth/verify",
            headers=bearer(key),
            threads=2,
            **ask,  # type: ignore[arg-type]
        ),
    ]


def p95(seen: list[Seen]) -> float:
    """The 95th percentile of the seconds that the answers took."""
    seconds = [answer.seconds for answer in seen]
    return statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else max(seconds)


def by_client(seen: list[Seen], of: Callable[[list[Seen]], float]) -> dict[str, float]:
    """What `of` says of each client's answers."""
    names = dict.fromkeys(answer.client for answer in seen)
    return {name: of([each for each in seen if each.client == name]) for name in names}
