"""gunicorn's threaded worker, writing each answer at once.

gunicorn writes an answer's head and its body apart. For answers as small as ours the second write
costs a packet, a system call, and a change of threads, since Python lets another one run during
each: a twentieth of a request.
"""

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


class Worker(ThreadWorker):  # type: ignore[misc]
    """As gunicorn's, but for the writes."""

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
