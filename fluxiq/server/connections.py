"""A client's connection: what came of it, and what is still to be sent, without ever waiting."""

import socket
import struct
from collections.abc import Callable
from typing import Any

from fluxiq.server.reading import Reader

READ_BYTES = 64 * 1024
LINGER_MILLISECONDS = 1
_MAX_PIECES = 64  # that one system call sends; the kernel takes up to 1024

# How long a read waits that is not told otherwise. The kernel keeps this time, set once: with
# Python's own, each read and each write would be two system calls.
_LINGER = struct.pack("ll", 0, LINGER_MILLISECONDS * 1000)


class Answers:
    """What goes to a client: collected first, then sent as far as the socket takes it.

    It stands in for the socket that gunicorn's Response writes to.
    """

    __slots__ = ("_pieces", "_socket", "is_broken", "size")

    def __init__(self, client: socket.socket) -> None:
        self._socket = client
        self._pieces: list[bytes | memoryview] = []
        self.size = 0  # bytes that are not sent yet
        self.is_broken = False  # whether the client is gone

    def sendall(self, data: bytes) -> None:
        """Add this to what is to be sent."""
        self._pieces.append(data)
        self.size += len(data)

    def discard(self) -> None:
        """Drop what is not sent."""
        self._pieces.clear()
        self.size = 0

    def flush(self) -> None:
        """Send what the socket takes now; all is dropped where the client is gone."""
        while self.size:
            try:
                sent = self._socket.sendmsg(self._pieces[:_MAX_PIECES], (), socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                self.is_broken = True
                self.discard()
                return
            self._drop(sent)

    def _drop(self, sent: int) -> None:
        self.size -= sent
        if not self.size:
            self._pieces.clear()
            return
        number = 0
        while sent >= len(self._pieces[number]):
            sent -= len(self._pieces[number])
            number += 1
        del self._pieces[:number]
        self._pieces[0] = memoryview(self._pieces[0])[sent:]


class Connection:
    """A client's connection. Either the worker's loop has it, or one of its threads."""

    __slots__ = (
        "act",
        "address",
        "answers",
        "client",
        "deadline",
        "events",
        "is_last",
        "reader",
        "server",
        "since",
        "socket",
    )

    def __init__(
        self, client: socket.socket, peer: Any, server: Any, configuration: Any, address: str
    ) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _LINGER)
        self.socket = client
        self.client, self.server = peer, server  # the two ends, as gunicorn names them
        self.address = address  # as it is counted; empty where it is not
        self.answers = Answers(client)
        self.reader = Reader(configuration, peer)
        self.is_last = False  # whether the answer under way is the last
        # What the loop waits for: since when, until when, which events, and what is done then.
        self.since = self.deadline = 0.0
        self.events = 0
        self.act: Callable[[Connection], None]

    @property
    def name(self) -> str:
        """The client's address, for the log; a Unix socket has none."""
        return str(self.client[0]) if isinstance(self.client, tuple) else "-"

    def on_event(self, _: object) -> None:
        """What the selector calls; nothing, where the loop has let go of it in the same turn."""
        if self.events:
            self.act(self)

    def receive(self, *, wait: bool = False) -> bytes | None:
        """What the client sent, nothing at its end, or None where nothing is here.

        With `wait`, it has LINGER_MILLISECONDS to come.
        """
        try:
            return self.socket.recv(READ_BYTES, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            return b""  # reset: an end as well
