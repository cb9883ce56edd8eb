"""Callers who were read of an SQLite database that has not changed since.

Where the database is in the process it is asked at each request, and nothing is remembered beside
it. But SQLite tells each connection, in a few microseconds, whether anybody committed anything
since it last asked (PRAGMA data_version), and the connection itself what it wrote. While neither
moved, what was read is what would be read again. Of one thread, as its connection is.
"""

import threading
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection

from fluxiq.principals import Principal

MAX_KEPT = 1024  # callers of each thread


class Stamp(NamedTuple):
    """What tells two states of the database apart, for one connection."""

    connection: Any
    commits_of_others: int
    own_changes: int


@dataclass(frozen=True, slots=True)
class Read:
    """A caller as read, when the database had that stamp; the Unix time of the credential's end."""

    stamp: Stamp
    principal: Principal
    until: float | None


class _Thread(threading.local):
    def __init__(self) -> None:
        self.found: dict[str | bytes, Read] = {}


_thread = _Thread()


def stamp() -> Stamp | None:
    """The stamp of the database as it is now; None where it is another's, or a transaction is open
    and might be rolled back. Raises Django's database errors."""
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        return None
    connection.ensure_connection()
    raw: Any = connection.connection
    with connection.wrap_database_errors:
        version = raw.execute("PRAGMA data_version").fetchone()[0]
    return Stamp(raw, version, raw.total_changes)


def recall(name: str | bytes, now: Stamp | None) -> Principal | None:
    """The caller of that name, if they were read when the database was as it is now."""
    found = _thread.found.get(name) if now is not None else None
    if found is None or found.stamp != now:
        return None
    if found.until is not None and found.until <= time.time():
        return None
    return found.principal


def keep(
    name: str | bytes, before: Stamp | None, principal: Principal, until: float | None
) -> None:
    """Keep a caller who was read after the database had that stamp."""
    if before is None:
        return
    if len(_thread.found) >= MAX_KEPT:
        _thread.found.clear()
    _thread.found[name] = Read(before, principal, until)
