"""Leaving without dropping a request: what SIGTERM does to gunicorn's master.

1. `/readyz` answers 503 and every answer says `Connection: close`; all is served as before, while
   whatever balances the load finds out (`DRAIN_SECONDS`).
2. The listener takes nobody new; the workers accept who had been taken before.
3. gunicorn stops as it always does: requests under way are answered, the listener closes.

Step 2 is for balancers that look at no health check, such as plain nginx. The kernel completes
connections on its own and resets those that no worker has accepted when the listener closes: a POST
sent on one is lost, since nobody may send it twice. So first contacts (SYN) are ignored for a while
before that; who made one is refused at its next try, having sent nothing, and goes elsewhere.
A second SIGTERM cuts the waiting short; SIGINT and SIGQUIT stop at once. No Django in it.
"""

import ctypes
import mmap
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

# Long enough for handshakes under way, and for the workers to accept all that came of them.
CLOSING_SECONDS = 0.3

# From Linux's asm-generic/socket.h: not in Python's socket module.
SO_ATTACH_FILTER = 26
# Classic BPF (linux/filter.h) over a segment from its TCP header on (RFC 9293, section 3.1): drop
# what has SYN (2) in its flags (byte 13), pass the rest whole. (code, if true, if false, operand)
_NO_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))

# One byte that the master and its workers share: they are forked from it.
_shared = mmap.mmap(-1, 1)


def is_draining() -> bool:
    """Whether the server that this process belongs to is about to stop."""
    return _shared[0] != 0


def begin() -> None:
    """Tell every process of this server that it is about to stop."""
    _shared[0] = 1


def take_nobody_new(listener: socket.socket) -> None:
    """Ignore first contacts to a listening socket, in all processes that hold it, for good.

    Does nothing where there is no such filter (not Linux) or no TCP: there the listener closes as
    it is. Raises OSError if the kernel refuses.
    """
    if sys.platform != "linux" or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in _NO_SYN)
    buffer = ctypes.create_string_buffer(program)
    described = struct.pack("@HP", len(_NO_SYN), ctypes.addressof(buffer))
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, described)


class Drain:
    """The master's answer to SIGTERM, in place of gunicorn's own, which it calls at the end."""

    def __init__(self, server: Any, seconds: float) -> None:
        self._server, self._seconds = server, seconds
        self._stop: Any = signal.getsignal(signal.SIGTERM)
        self._closing = False

    def install(self) -> None:
        """Answer SIGTERM from now on. To be called in the master's main thread."""
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGALRM, self._on_alarm)

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        # While another master serves on the same listener (SIGUSR2), nobody need go elsewhere.
        if is_draining() or self._server.reexec_pid or self._server.master_pid:
            self._end(frame)
            return
        begin()
        self._server.log.info("Draining for %g s before stopping", self._seconds)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        # A listener of systemd's outlives this server, and so do the connections that wait on it.
        if self._closing or self._server.systemd:
            self._end(frame)
            return
        self._closing = True
        try:
            for listener in self._listeners():
                take_nobody_new(listener)
        except OSError as error:
            self._server.log.warning("Closing without a pause: %s", error)
        signal.setitimer(signal.ITIMER_REAL, CLOSING_SECONDS)

    def _end(self, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._stop(signal.SIGTERM, frame)

    def _listeners(self) -> Sequence[socket.socket]:
        return [listener.sock for listener in self._server.LISTENERS]
