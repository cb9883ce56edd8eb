"""gunicorn's threaded worker, with fewer changes of threads.

gunicorn writes an answer's head and its body apart. For answers as small as ours the second write
costs a packet, a system call, and a change of threads, since Python lets another one run during
each: a twentieth of a request. And it hands a connection that lives on back to its main thread
after each answer, which has it watched, sees the next request, and hands it out again: two changes
of threads and eight system calls, which a busy connection is spared here.
"""

import select
import socket
from typing import Any

from gunicorn.workers.gthread import ThreadWorker


class JoinedWrites:
    """A client's socket that holds the first of what is written until there is more to go with it.

    Whatever else is done with the socket comes after what it holds.
    """

    __slots__ = ("_held", "_socket")

    def __init__(self, client: socket.socket) -> None:
        self._socket = client
        self._held: bytes | None = None  # empty once it is written

    def sendall(self, data: bytes) -> None:
        """Hold the first write, send it with the second, and all later ones as they come."""
        if self._held is None:
            self._held = data
        elif self._held:
            held, self._held = self._held, b""
            self._socket.sendall(held + data)
        else:
            self._socket.sendall(data)

    def flush(self) -> None:
        """Send what is held. Raises OSError where the client is gone."""
        if self._held:
            held, self._held = self._held, b""
            self._socket.sendall(held)

    def __getattr__(self, name: str) -> Any:
        self.flush()
        return getattr(self._socket, name)


LINGER_MILLISECONDS = 1


class Worker(ThreadWorker):  # type: ignore[misc]
    """As gunicorn's, but for the writes, and for threads that stay with a busy connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._lingering: set[Any] = set()  # connections; its changes are atomic

    def handle(self, conn: Any) -> Any:
        """Answer the requests of a connection as long as they follow one another at once.

        Returns what gunicorn's does for the last: whether the connection lives on, or waits.
        """
        outcome = super().handle(conn)
        while outcome is True and self.alive and self._has_more(conn):
            outcome = super().handle(conn)
        return outcome

    def _has_more(self, conn: Any) -> bool:
        """Whether the next request is here, or comes while the thread has nothing else to do.

        Whoever waits for a thread goes first; and one thread lingers with no connection, unless
        each of them can have its own.
        """
        if self.tpool._work_queue.qsize():
            return False
        if conn.parser.unreader.buf.getvalue():
            return True
        may_linger = self.nr_conns <= self.cfg.threads or (
            len(self._lingering) < self.cfg.threads - 1
        )
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        if not may_linger:
            return bool(poll.poll(0))
        self._lingering.add(conn)
        try:
            return bool(poll.poll(LINGER_MILLISECONDS))
        finally:
            self._lingering.discard(conn)

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Answer one request, and say whether the connection lives on."""
        client = conn.sock
        conn.sock = joined = JoinedWrites(client)
        try:
            lives_on: bool = super().handle_request(req, conn)
            joined.flush()
        finally:
            conn.sock = client
        return lives_on
