"""gunicorn's threaded worker, whose threads never wait for a client.

One loop, on the main thread, holds each connection until a whole request of it is here, and again
from the answer until the next one, or the end. So a client that sends nothing, or a byte a second,
or never reads, costs a file descriptor and never a thread; and a request is judged when its last
byte is here, so that nobody can hold back a byte until the credential is long dead.

What the threads do is in `answering`.
"""

import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fluxiq.addresses import counting_identity, is_within, parse_address
from fluxiq.malformed import TooSlow
from fluxiq.server.answering import AnsweringWorker
from fluxiq.server.connections import Connection

TICK_SECONDS = 0.5  # deadlines are checked this often
ANSWER_SECONDS = 30.0  # for a client to read an answer
LINGER_SECONDS = 2.0  # for a client to close after its last answer
STOP_SECONDS = 2.0  # for another request of an idle connection, while the worker stops
MAX_UNREAD = 32 * 1024 * 1024  # bytes of answers that clients have not read, in all
# Bytes that the kernel buffers for a client that reads slowly (Linux doubles the number). Without a
# bound it lets the buffer grow to megabytes.
SEND_BUFFER = 128 * 1024
SPARED_SECONDS = 1.0  # for a client, even where the worker is full

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an operator may set."""

    request_seconds: float = 10.0  # for a request's head and body together
    connections_per_address: int = 100  # of one worker, but for trusted proxies; 0 is no bound


class Worker(AnsweringWorker):
    """gunicorn's threaded worker, with a loop that reads requests and sends what is unread."""

    bounds = Bounds()  # gunicorn.conf.py sets them

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._waiting: dict[Connection, None] = {}  # those that the loop has, the oldest first
        self._addresses: Counter[str] = Counter()
        self._turned_away = 0
        self._is_out_of_files = False  # until the next sweep
        self._next_sweep = 0.0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Raises ValueError for what this worker does not speak."""
        if cfg.is_ssl or cfg.proxy_protocol != "off":
            raise ValueError("This worker speaks neither TLS nor the PROXY protocol: a proxy does")

    def run(self) -> None:
        """Serve until told to stop, and then until all that was begun is answered."""
        for listener in self.sockets:  # its connections have it from there
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        wakes = self.method_queue
        self.poller.register(wakes.fileno(), selectors.EVENT_READ, wakes.run_callbacks)
        while self.alive and self.is_parent_alive():
            is_full = self._is_out_of_files or self.nr_conns >= self.worker_connections
            self.set_accept_enabled(not is_full)
            self._turn()
        self.alive = False
        self.set_accept_enabled(False)
        began = time.monotonic()
        for connection in self._waiting:
            self._shorten(connection, began)
        while self.nr_conns and time.monotonic() < began + self.cfg.graceful_timeout:
            self._turn()
        self.tpool.shutdown(wait=False)
        for listener in self.sockets:
            listener.close()

    def _turn(self) -> None:
        self.notify()
        self.wait_for_and_dispatch_events(timeout=TICK_SECONDS)
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + TICK_SECONDS
            self._sweep(now)

    # What the loop does with a connection.

    def accept(self, listener: Any) -> None:
        """Take a new connection, or close it where its address has too many."""
        try:
            client, peer = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # another worker has it, or nobody
        except OSError as error:
            self.log.warning("A worker can take no connection: %s", error)
            self._is_out_of_files = True
            return
        address = self._counted_as(peer)
        most = self.bounds.connections_per_address
        if address and most and self._addresses[address] >= most:
            self._turned_away += 1
            client.close()
            return
        connection = Connection(client, peer, listener.getsockname(), self.cfg, address)
        self.nr_conns += 1
        self._addresses[address] += 1
        connection.deadline = time.monotonic() + self.bounds.request_seconds
        self._receive(connection)

    def _counted_as(self, peer: Any) -> str:
        """What its connections are counted by; empty for a trusted proxy and for a Unix socket."""
        if not isinstance(peer, tuple):
            return ""
        if is_within(parse_address(peer[0]), self.cfg.forwarded_allow_networks()):
            return ""
        return counting_identity(peer[0])

    def _receive(self, connection: Connection) -> None:
        """Read what is here, and have a thread answer it once it is a whole request."""
        data = connection.receive()
        if data is None:
            self._watch(connection, selectors.EVENT_READ, self._receive)
            return
        if not data:
            if not connection.reader.is_empty:
                self.log.info("%s broke off in the middle of a request", connection.name)
            self._end(connection)
            return
        if connection.reader.is_empty:
            connection.deadline = time.monotonic() + self.bounds.request_seconds
        connection.reader.feed(data)
        self._advance(connection)

    def _advance(self, connection: Connection) -> None:
        """Have the next request answered where it is here, and else wait for it."""
        try:
            request = connection.reader.next()
        except (
            Exception
        ) as fault:  # of whatever kind, mostly ParseException: the loop serves others
            self._refuse(connection, fault)
            return
        if request is not None:
            self._let_go(connection)
            self.have_answered(connection, request)
            return
        if connection.reader.takes_continue():
            connection.answers.sendall(CONTINUE)
            connection.answers.flush()
        self._watch(connection, selectors.EVENT_READ, self._receive)

    def _refuse(self, connection: Connection, fault: Exception) -> None:
        """Answer what could not be read as a request, and close."""
        self.write_refusal(connection, fault)
        connection.is_last = True
        connection.deadline = time.monotonic() + LINGER_SECONDS
        self._send(connection)

    def take_back(self, connection: Connection) -> None:
        """Go on with a connection that a thread has answered."""
        if connection.answers.size:
            connection.deadline = time.monotonic() + ANSWER_SECONDS
            self._send(connection)
            self._bound_unread()
        else:
            self._sent(connection)

    def _send(self, connection: Connection) -> None:
        """Send what is left of an answer."""
        connection.answers.flush()
        if connection.answers.size:
            self._watch(connection, selectors.EVENT_WRITE, self._send)
        else:
            self._sent(connection)

    def _sent(self, connection: Connection) -> None:
        """Close a connection, or wait for its next request."""
        now = time.monotonic()
        if connection.answers.is_broken:
            self._end(connection)
        elif connection.is_last:
            self._close(connection, now)
        else:
            idle = connection.reader.is_empty
            connection.deadline = now + (
                self.cfg.keepalive if idle else self.bounds.request_seconds
            )
            if not self.alive:
                self._shorten(connection, now)
            self._advance(connection)

    def _shorten(self, connection: Connection, now: float) -> None:
        """Have a worker that stops wait no longer than a moment for another request."""
        if connection.reader.is_empty and not connection.answers.size:
            connection.deadline = min(connection.deadline, now + STOP_SECONDS)

    def _close(self, connection: Connection, now: float) -> None:
        """Close once the client has, or LINGER_SECONDS from now: a connection that is closed with
        something unread is reset, and the client may lose the answer (RFC 9112, section 9.6)."""
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._end(connection)
            return
        connection.deadline = now + LINGER_SECONDS
        self._discard(connection)

    def _discard(self, connection: Connection) -> None:
        """Read what no longer matters."""
        if connection.receive() == b"":
            self._end(connection)
        else:
            self._watch(connection, selectors.EVENT_READ, self._discard)

    def _watch(
        self, connection: Connection, events: int, act: Callable[[Connection], None]
    ) -> None:
        """Have the loop do this at such an event."""
        connection.act = act
        if connection.events == events:
            return
        if connection.events:
            self.poller.modify(connection.socket, events, connection.on_event)
        else:
            self.poller.register(connection.socket, events, connection.on_event)
            connection.since = time.monotonic()
            self._waiting[connection] = None
        connection.events = events

    def _let_go(self, connection: Connection) -> None:
        """Have the loop wait for nothing more of this connection."""
        if connection.events:
            self.poller.unregister(connection.socket)
            del self._waiting[connection]
            connection.events = 0

    def _end(self, connection: Connection) -> None:
        self._let_go(connection)
        connection.socket.close()
        self.nr_conns -= 1
        self._addresses[connection.address] -= 1
        if not self._addresses[connection.address]:
            del self._addresses[connection.address]

    # What the loop does with all that it has.

    def _sweep(self, now: float) -> None:
        """End what took too long, and make room in a worker that is full."""
        for connection in [each for each in self._waiting if each.deadline <= now]:
            if connection.act == self._receive and not connection.reader.is_empty:
                self._refuse(connection, TooSlow())
            else:
                self._end(connection)
        if self._is_out_of_files or self.nr_conns >= self.worker_connections:
            self._is_out_of_files = False
            oldest = [each for each in self._waiting if now - each.since >= SPARED_SECONDS]
            for connection in oldest[: 1 + self.worker_connections // 8]:
                self._end(connection)
            self.log.warning("A worker was full, of %d connections", self.nr_conns)
        if self._turned_away:
            most = self.bounds.connections_per_address
            self.log.warning(
                "%d connections closed of addresses that have %d", self._turned_away, most
            )
            self._turned_away = 0

    def _bound_unread(self) -> None:
        """Give up on the clients that have been reading for longest, where memory runs out."""
        unread = [each for each in self._waiting if each.answers.size]
        total = sum(each.answers.size for each in unread)
        for connection in unread:
            if total <= MAX_UNREAD:
                return
            total -= connection.answers.size
            self._end(connection)
