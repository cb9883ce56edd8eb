"""Counters in an SQLite file, for all processes of one machine."""

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.exceptions import ImproperlyConfigured

from fluxiq.counters.file import Statement, counter_file
from fluxiq.counters.tallies import Batch, Counters, Tally, new_batch_id

# A purge may remove twice what was added since the last one, so expired rows cannot pile up.
PURGE_EVERY = 32
PURGE_BATCH = 64

_ADD = (
    "INSERT INTO counters VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE"
    " SET value = excluded.value, expires = excluded.expires WHERE expires <= ?"
)
_SET = "INSERT OR REPLACE INTO counters VALUES (?, ?, ?)"
_INCR = "UPDATE counters SET value = value + ? WHERE key = ? AND expires > ? RETURNING value"
_GET = "SELECT value FROM counters WHERE key = ? AND expires > ?"
_TOUCH = "UPDATE counters SET expires = ? WHERE key = ? AND expires > ?"
_DELETE = "DELETE FROM counters WHERE key = ? AND expires > ?"
_CLEAR = "DELETE FROM counters"
_PURGE = "DELETE FROM counters WHERE key IN (SELECT key FROM counters WHERE expires <= ? LIMIT ?)"

# What is not set aside stands under the empty batch.
_TALLY = (
    "INSERT INTO tallies VALUES (?, '', ?, 1, ?, ?) ON CONFLICT DO UPDATE SET count = count + 1,"
    " note = iif(excluded.at >= at, excluded.note, note), at = max(excluded.at, at)"
)
_SET_ASIDE = (
    "UPDATE tallies SET batch = ?1 WHERE ledger = ?2 AND batch = ''"
    " AND NOT EXISTS (SELECT 1 FROM tallies WHERE ledger = ?2 AND batch > '')"
)
_SET_ASIDE_BY_NOW = (
    "SELECT batch, name, count, at, note FROM tallies WHERE ledger = ? AND batch > ''"
)
_DROP = "DELETE FROM tallies WHERE ledger = ? AND batch = ?"
_CLEAR_TALLIES = "DELETE FROM tallies"


def default_location(identity: str) -> Path:
    """Return the counter file of the installation that `identity` names, in shared memory if any.

    Every process of the same user that gives the same identity gets the same path.
    """
    shared_memory = Path("/dev/shm")  # noqa: S108 (the directory inside is checked to be private)
    usable = shared_memory.is_dir() and os.access(shared_memory, os.W_OK | os.X_OK)
    base = shared_memory if usable else Path(tempfile.gettempdir())
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return base / f"fluxiq-{os.geteuid()}-{digest}" / "counters.sqlite3"


def integer(value: object) -> int:
    """The value, where it is an integer. Raises TypeError."""
    if not isinstance(value, int):
        raise TypeError(f"a counter holds an integer, not {type(value).__name__}")
    return value


class EmbeddedCounters(Counters):
    """Integer counters in an SQLite file, exact over the threads and processes of one machine.

    LOCATION is the path of the file, which belongs into shared memory (`default_location`). Its
    directory is made with mode 0700; ImproperlyConfigured is raised for one that others can write.
    """

    def __init__(self, location: str | Path, params: dict[str, Any]) -> None:
        super().__init__(params)
        if not location:
            raise ImproperlyConfigured("EmbeddedCounters needs the path of a file as LOCATION.")
        self._file = counter_file(Path(location).absolute())
        self._ledger = self.make_key("tallies")
        self._rider = threading.local()  # .tally: what goes with this thread's next count

    def add(
        self,
        key: Any,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        """Store an integer where the key is absent or expired; return whether it was stored."""
        name, expires, now = self.make_key(key, version), self._expires(timeout), time.time()
        number = integer(value)
        # Most are there: to look waits for nobody, as to write does.
        if self._file.execute(_GET, name, now)[0]:
            return False
        _, changed = self._file.execute_together(
            *self._riding(), (_ADD, name, number, expires, now)
        )
        if changed:
            self._purge_at_times()
        return bool(changed)

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return the count, or the default where the key is absent or expired."""
        look = (_GET, self.make_key(key, version), time.time())
        rows, _ = self._file.execute_together(*self._riding(), look)
        return rows[0][0] if rows else default

    def set(
        self,
        key: Any,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> None:
        """Store an integer, whatever was there."""
        name, expires = self.make_key(key, version), self._expires(timeout)
        self._file.execute(_SET, name, integer(value), expires)
        self._purge_at_times()

    def touch(
        self, key: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Give the key a new time to live; return whether it was there."""
        name, expires = self.make_key(key, version), self._expires(timeout)
        return bool(self._file.execute(_TOUCH, expires, name, time.time())[1])

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Remove the key; return whether it was there."""
        return bool(self._file.execute(_DELETE, self.make_key(key, version), time.time())[1])

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Add `delta` and return the new count. Raises ValueError where the key is absent."""
        count = (_INCR, delta, self.make_key(key, version), time.time())
        rows, _ = self._file.execute_together(*self._riding(), count)
        if not rows:
            raise ValueError("no counter under this key")
        return int(rows[0][0])

    def clear(self) -> None:
        """Remove every counter and every tally of the file."""
        self._file.execute(_CLEAR)
        self._file.execute(_CLEAR_TALLIES)

    def is_degraded(self) -> bool:
        """No: there is nothing else that it could count with. Raises as `Counters` says."""
        self.set("probe", 1, 1)
        return False

    @property
    def places(self) -> tuple[Counters, ...]:
        """Itself."""
        return (self,)

    def tally(
        self, name: str, *, owner: str = "", at: int = 0, note: str = "", ride: bool = False
    ) -> None:
        """See `Counters`. Raises sqlite3.OperationalError as the file does."""
        tally = (_TALLY, self._ledger, name, at, note)
        waiting = self._riding()
        if ride:
            self._rider.tally = tally
        else:
            waiting = [*waiting, tally]
        if waiting:
            self._file.execute_together(*waiting)

    def _riding(self) -> list[Statement]:
        """The tally that waited for what this thread does next, if one did."""
        tally: Statement | None = getattr(self._rider, "tally", None)
        self._rider.tally = None
        return [] if tally is None else [tally]

    def batches(self) -> Iterator[Batch]:
        """See `Counters`. Raises sqlite3.OperationalError as the file does."""
        mine = new_batch_id()
        while True:
            self._file.execute(_SET_ASIDE, mine, self._ledger)
            rows, _ = self._file.execute(_SET_ASIDE_BY_NOW, self._ledger)
            if not rows:
                return
            batch = Batch(rows[0][0], {name: Tally(*tally) for _, name, *tally in rows})
            yield batch
            self._file.execute(_DROP, self._ledger, batch.id)
            if batch.id == mine:
                return

    def _expires(self, timeout: float | None) -> float:
        expires = self.get_backend_timeout(timeout)
        return float("inf") if expires is None else expires

    def _purge_at_times(self) -> None:
        if next(self._file.insertions) % PURGE_EVERY == 0:
            self._file.execute(_PURGE, time.time(), PURGE_BATCH)
