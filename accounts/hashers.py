"""The password hash (OWASP Password Storage Cheat Sheet: argon2id, 46 MiB, t=1, p=1)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher

from fluxiq import metrics
from fluxiq.errors import ServiceUnavailable
from fluxiq.metrics.families import HASHING_REFUSED
from fluxiq.slots import NoSlot, Room, slot

WAIT_SECONDS = 2.0
RETRY_AFTER = 2  # seconds

_room = Room()


def at_once_here() -> int:
    """How many threads of this process may hash or wait to hash: half of a worker's threads.

    The other half answers everything else, however many clients sign in. Not all threads but one:
    that one would also have to turn away every further sign-in.
    """
    return max(1, int(settings.WEB_THREADS) // 2)


def refuse_if_full() -> None:
    """Raises ServiceUnavailable where a hash would be refused at once.

    A look, before work that would be lost: what is hashed takes its own place.
    """
    with _refusing():
        _room.look(at_once_here())


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except NoSlot as error:
        metrics.add(HASHING_REFUSED)
        raise ServiceUnavailable(retry_after=RETRY_AFTER) from error


def _at_once() -> int:
    """How many hashes this machine computes at once: one a core, 46 MiB each."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Argon2id(Argon2PasswordHasher):
    """Django's Argon2 hasher at the parameters above; its defaults are 100 MiB and 8 lanes.

    No more hashes at once than cores, over all workers: more would take memory and make none
    faster. Raises ServiceUnavailable at once where `at_once_here` threads of this process hash or
    wait already, and where no core gets free within WAIT_SECONDS.
    """

    time_cost = 1
    memory_cost = 46 * 1024  # KiB
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        return str(self._in_turn(super().encode, password, salt))

    def verify(self, password: str, encoded: str) -> bool:
        return bool(self._in_turn(super().verify, password, encoded))

    def _in_turn(self, work: Any, *arguments: str) -> Any:
        began = metrics.now()
        with (
            _refusing(),
            _room.entered(at_once_here()),
            slot(Path(settings.HASHING_SLOTS_PATH), _at_once(), WAIT_SECONDS),
        ):
            metrics.hashing_waited(began)
            return work(*arguments)
