"""Tallies: counts on their way to a database, kept where the counters are.

Counters tally under names, at each request. Now and then somebody moves the tallies: `batches`
sets all of them aside as one batch, which stays there until it was dealt with. Whoever writes
down the id of each batch in the transaction that moves it moves each tally exactly once, wherever
a process is killed.
"""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.utils.crypto import get_random_string

from fluxiq.counters.memory import Memory

_ID_LENGTH = 22  # of 62 characters: 131 bits


@dataclass(frozen=True, slots=True)
class Tally:
    """A count, and the latest of the notes that came with it: when (any integer), and what."""

    count: int
    at: int
    note: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Tallies by name, set aside together under an id that no other batch has."""

    id: str
    tallies: Mapping[str, Tally]


def new_batch_id() -> str:
    """An id for what is about to be set aside."""
    return get_random_string(_ID_LENGTH)


class Counters(BaseCache):
    """What both backends add to Django's caches."""

    memory: Memory | None = None  # of verified callers; None where nothing is remembered

    def is_degraded(self) -> bool:
        """Whether it counts elsewhere than it is meant to, found out by counting something now.

        Raises sqlite3.Error where it cannot count at all.
        """
        raise NotImplementedError

    @property
    def places(self) -> "tuple[Counters, ...]":
        """The counters where tallies wait to be moved."""
        raise NotImplementedError

    def tally(
        self, name: str, *, owner: str = "", at: int = 0, note: str = "", ride: bool = False
    ) -> None:
        """Count one under this name, beside what is the owner's. The latest note by `at` is kept.

        With `ride` it may wait for what this thread asks of the counters next, and go with it:
        that must be the same owner's.
        """
        raise NotImplementedError

    def batches(self) -> Iterator[Batch]:
        """Yield what was left set aside in this place, then what was tallied there by now.

        A batch is dropped when the next one is asked for: who fails, or is killed, before then
        is handed it again.
        """
        raise NotImplementedError

    def once(self, name: str, seconds: int) -> bool:
        """Whether nobody asked for this name in so many seconds, wherever this counts."""
        self.add(f"once:{name}", 0, seconds)
        return self.incr(f"once:{name}") == 1


_thread = threading.local()


def of_requests() -> Counters:
    """Those that count requests. (A system check, fluxiq.E003, refuses any that are not ours.)

    Kept by thread, as Django keeps them, but found faster.
    """
    alias = settings.RATELIMIT_USE_CACHE
    kept: tuple[str, Counters] | None = getattr(_thread, "counters", None)
    if kept is None or kept[0] != alias:
        kept = _thread.counters = (alias, cast(Counters, caches[alias]))
    return kept[1]
