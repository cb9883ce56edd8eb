"""How long PostgreSQL is waited for.

A server that is frozen, or behind a network that drops packets, keeps its connections: libpq would
wait on them for as long as the kernel does, which is hours. Here a wait ends, and with it the
connection, whose state nobody knows then, and its transaction. A server that told this process
nothing meanwhile is left alone: were every thread to wait for it in turn, nothing would be left to
answer that it is away.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from traceback import clear_frames
from typing import Any, Self, TypeVar

import psycopg
from psycopg import generators, waiting
from psycopg.abc import PQGen
from psycopg.pq import ConnStatus, TransactionStatus

from fluxiq.counters import Breaker

T = TypeVar("T")

PROBE_SECONDS = 0.25  # between two tries of a server that is away
PROBE_PATIENCE = 0.5
SILENCE_SECONDS = 1.2  # less than any patience, more than the audit thread pauses
CANCEL_SECONDS = 0.5
INTERVAL = 0.1  # seconds, as psycopg has it: how often it looks for Ctrl-C

# One for each process, which has one database.
breaker = Breaker(
    "PostgreSQL",
    PROBE_SECONDS,
    meanwhile="what needs it is answered 503",
    afterwards="it is asked again",
)


class _Patience(threading.local):
    seconds: float | None = None  # None is that of the process


_thread = _Patience()
_process: float | None = None  # a command waits as long as it takes
_heard = 0.0  # when the server last answered this process, of the monotonic clock


def of_process(seconds: float) -> None:
    """Let the threads of this process wait so long for an answer, but for those told otherwise."""
    global _process  # noqa: PLW0603 - set once, as a process that serves starts
    _process = seconds


def of_thread(seconds: float | None) -> None:
    """Let this thread wait so long for an answer; None is as long as the process has it."""
    _thread.seconds = seconds


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Let this thread wait so long for an answer in a block."""
    before, _thread.seconds = _thread.seconds, seconds
    try:
        yield
    finally:
        _thread.seconds = before


def lose(error: Exception) -> None:
    """Leave the server alone for this error if it told this process nothing lately; else it is not
    away, but slow or short of connections. (The audit trail's thread asks it each second.)"""
    if time.monotonic() - _heard > SILENCE_SECONDS:
        breaker.open(error)


class PatientConnection(psycopg.Connection[Any]):
    """A connection of the pool, which waits for an answer as long as its thread has patience."""

    @classmethod
    def connect(cls, *arguments: Any, **options: Any) -> Self:
        """See psycopg. Raises OperationalError; what was open of the connection is closed then."""
        try:
            return super().connect(*arguments, **options)
        except psycopg.Error as error:
            # Its traceback holds psycopg's frame, which holds it in turn, and the half-open socket:
            # of a server that is frozen there would be ever more until Python collects cycles.
            clear_frames(error.__traceback__)
            raise

    def wait(self, gen: PQGen[T], interval: float = INTERVAL, timeout: float | None = None) -> T:
        """See psycopg. Raises OperationalError at the end of patience: it is closed then."""
        global _heard  # noqa: PLW0603 - of all connections
        if timeout is None:
            timeout = _process if _thread.seconds is None else _thread.seconds
        try:
            answer = super().wait(gen, interval, timeout)
        except psycopg.OperationalError as error:
            if self.pgconn.status == ConnStatus.BAD:
                self._replace_others()
            elif self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self._give_up(error)
            raise
        _heard = time.monotonic()
        return answer

    def _replace_others(self) -> None:
        """Where the server hung up on this one, it most likely did on all: to find that out one by
        one would fail a request each."""
        pool: Any = getattr(self, "_pool", None)
        if pool is not None:
            pool.drain()

    def _give_up(self, error: Exception) -> None:
        lose(error)
        # It answers others, and shall not go on with what is too slow. Cancelling takes a
        # connection, in the place of this one: there may be no more than the pool's.
        cancel = None if breaker.is_open else self.pgconn.cancel_conn()
        self.close()
        if cancel is not None:
            with suppress(psycopg.Error):
                cancel.start()
                waiting.wait_conn(generators.cancel(cancel), INTERVAL, CANCEL_SECONDS)
            cancel.finish()
