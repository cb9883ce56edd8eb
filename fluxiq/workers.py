"""gunicorn's threaded worker, with fewer changes of threads.

Python runs one thread of a process at a time, and has another go on at each system call that may
block. With several requests in hand each such call costs a change of threads, and a wait for the
next turn. gunicorn makes a dozen for each request: it writes an answer's head and its body apart,
sets and resets time-outs, and hands a connection that lives on back to its main thread, which has
it watched, sees the next request, and hands it out again. Here there are two, one that waits for
the next request of the connection, and the one that the service itself waits for.
"""

import ctypes
import socket
import struct
import threading
from contextlib import suppress
from typing import Any

from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import ThreadWorker

from fluxiq.malformed import Refusal

LINGER_MILLISECONDS = 1
READ_BYTES = 8192  # as much as gunicorn reads at once

# The C library's, without letting go of the interpreter's lock: they must not block.
_libc = ctypes.PyDLL(None)
_send, _recv = _libc.send, _libc.recv
_send.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
_recv.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_send.restype = _recv.restype = ctypes.c_ssize_t

_FOR_EVER, _LINGER = struct.pack("ll", 0, 0), struct.pack("ll", 0, LINGER_MILLISECONDS * 1000)


class _Thread(threading.local):
    def __init__(self) -> None:
        self.buffer = ctypes.create_string_buffer(READ_BYTES)
        self.address = ctypes.addressof(self.buffer)


_thread = _Thread()


class Client:
    """A client's socket, not of TLS, that tries what it is asked for before it prepares to wait.

    Between `hold_head` and the second write it holds what is written first, until there is more to
    go with it. Whatever else is done with the socket comes after what it holds.
    """

    __slots__ = ("_applied", "_fileno", "_held", "_limit", "_socket", "_timeout")

    def __init__(self, client: socket.socket) -> None:
        self._socket = client
        self._fileno = client.fileno()
        self._timeout = self._applied = client.gettimeout()
        self._limit = _FOR_EVER
        self._held: bytes | None = b""  # None is for what comes next

    def hold_head(self) -> None:
        """Hold the next write, until there is another or a flush."""
        self._held = None

    def flush(self) -> None:
        """Send what is held. Raises OSError where the client is gone."""
        held, self._held = self._held, b""
        if held:
            self.sendall(held)

    def sendall(self, data: bytes) -> None:
        """Send all of this, after what is held; or hold it. Raises OSError."""
        if self._held is None:
            self._held = data
            return
        if self._held:
            data, self._held = self._held + data, b""
        # An error is told by what is tried again.
        sent = max(0, _send(self._fileno, data, len(data), socket.MSG_DONTWAIT))
        if sent < len(data):
            self._prepared().sendall(data[sent:])

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes, at least one, or none at the end. Raises OSError."""
        self.flush()
        got = _recv(self._fileno, _thread.address, min(size, READ_BYTES), socket.MSG_DONTWAIT)
        if got < 0:
            return self._prepared().recv(size)
        return ctypes.string_at(_thread.address, got)

    def linger(self) -> bytes:
        """What comes within LINGER_MILLISECONDS; nothing where nothing does, or the end."""
        self._apply(None, _LINGER)
        try:
            return self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Close it, and have nothing more to do with its descriptor: another may get the number."""
        self._fileno, self._held = -1, b""
        self._socket.close()

    def fileno(self) -> int:
        """The descriptor, -1 once it is closed."""
        return self._fileno

    def gettimeout(self) -> float | None:
        """As of a socket."""
        return self._timeout

    def settimeout(self, seconds: float | None) -> None:
        """As of a socket."""
        self._timeout = seconds

    def setblocking(self, flag: bool) -> None:
        """As of a socket."""
        self._timeout = None if flag else 0.0

    def __getattr__(self, name: str) -> Any:
        self.flush()
        return getattr(self._prepared(), name)

    def _prepared(self) -> socket.socket:
        """The socket with the time-out that was asked for."""
        self._apply(self._timeout, _FOR_EVER)
        return self._socket

    def _apply(self, timeout: float | None, limit: bytes) -> None:
        if self._limit != limit:
            # The kernel keeps this time: with Python's own, each wait would be two calls.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            self._limit = limit
        if self._applied != timeout:
            self._socket.settimeout(timeout)
            self._applied = timeout


def may_stay(*, connections: int, threads: int, waiting: int, lingering: int) -> bool:
    """Whether a thread may wait for more on its connection, of a worker with so many of each.

    Connections that wait for a thread go first; and one thread lingers with none, unless each
    connection can have a thread of its own.
    """
    return not waiting and (connections <= threads or lingering < threads - 1)


class Worker(ThreadWorker):  # type: ignore[misc]
    """As gunicorn's, but that its threads stay with a busy connection, and for what it says of
    requests that are none."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # Connections. (Additions and removals are atomic.)
        self._waiting: set[Any] = set()
        self._lingering: set[Any] = set()

    def enqueue_req(self, conn: Any) -> None:
        """Have a thread handle the connection."""
        self._waiting.add(conn)
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """Answer the requests of a connection as long as they follow one another at once.

        Returns what gunicorn's does for the last: whether the connection lives on, or waits.
        """
        self._waiting.discard(conn)
        if not (isinstance(conn.sock, Client) or self.cfg.is_ssl):
            conn.sock = Client(conn.sock)
        outcome = super().handle(conn)
        while outcome is True and self.alive and self._has_more(conn):
            outcome = super().handle(conn)
        return outcome

    def _has_more(self, conn: Any) -> bool:
        """Whether the next request is here, or comes while the thread has nothing else to do."""
        staying = may_stay(
            connections=self.nr_conns,
            threads=self.cfg.threads,
            waiting=len(self._waiting),
            lingering=len(self._lingering),
        )
        if not staying or not isinstance(conn.sock, Client):
            return False
        if conn.parser.unreader.buf.getvalue():
            return True
        self._lingering.add(conn)
        try:
            data = conn.sock.linger()
        except OSError:
            return False  # gunicorn's own reading tells
        finally:
            self._lingering.discard(conn)
        conn.parser.unreader.unread(data)
        return bool(data)

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Answer one request, and say whether the connection lives on."""
        if not isinstance(conn.sock, Client):
            return bool(super().handle_request(req, conn))
        conn.sock.hold_head()
        try:
            return bool(super().handle_request(req, conn))
        finally:
            conn.sock.flush()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Refuse what could not be read as a request, or failed outside the application."""
        refusal = Refusal(exc)
        told = (refusal.request_id, refusal.status, addr[0] if addr else "-")
        if refusal.is_ours:
            self.log.error("%s: %d to %s", *told, exc_info=exc)
        else:
            self.log.warning("%s: %d to %s: %s", *told, type(exc).__name__)
        with suppress(OSError):  # the client is gone
            write_nonblock(client, refusal.content())
