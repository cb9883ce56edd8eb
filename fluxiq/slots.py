"""Bounds on work that is heavy: slots that all processes of a machine share, and a bound on the
threads of one process that hold a slot or wait for one.

A slot is an advisory lock on a file: the kernel gives it back when its holder dies.
"""

import fcntl
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_SECONDS = 0.005


class NoSlot(Exception):
    """Every slot stayed taken for as long as the caller would wait, or too many wait already."""


class Room:
    """A block that a limited number of threads of this process may be in at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def look(self, limit: int) -> None:
        """Raises NoSlot where `limit` threads are inside."""
        if self._inside >= limit:
            raise NoSlot

    @contextmanager
    def entered(self, limit: int) -> Iterator[None]:
        """Run a block. Raises NoSlot, without waiting, where `limit` threads are inside."""
        with self._lock:
            if self._inside >= limit:
                raise NoSlot
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1


@contextmanager
def slot(directory: Path, count: int, wait_seconds: float) -> Iterator[None]:
    """Hold one of `count` slots for a block. Raises NoSlot after `wait_seconds` without one."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_seconds
    while True:
        for number in random.sample(range(count), count):
            held = _take(directory / f"slot-{number}")
            if held is not None:
                try:
                    yield
                finally:
                    os.close(held)
                return
        if time.monotonic() >= deadline:
            raise NoSlot
        time.sleep(POLL_SECONDS)


def _take(path: Path) -> int | None:
    """An open file that holds the lock, or None where another has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
