"""One SQLite file of counters, as one process uses it."""

import fcntl
import itertools
import logging
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from fluxiq import metrics
from fluxiq.counters.process import process_lock

logger = logging.getLogger("fluxiq.counters")

BUSY_SECONDS = 5.0
PAUSE_SECONDS = 0.00005
LOOK_SECONDS = 0.1

# WAL was measured against every other journal mode (4 processes in /dev/shm): it is the fastest
# and, with synchronous OFF, the one that a killed process cannot corrupt. MEMORY and OFF can be.
_SETUP = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = OFF",
    "CREATE TABLE IF NOT EXISTS counters (key TEXT PRIMARY KEY, value INTEGER NOT NULL,"
    " expires REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS counters_expires ON counters (expires)",
    "CREATE TABLE IF NOT EXISTS tallies (ledger TEXT, batch TEXT, name TEXT,"
    " count INTEGER NOT NULL, at INTEGER NOT NULL, note TEXT NOT NULL,"
    " PRIMARY KEY (ledger, batch, name)) WITHOUT ROWID",
)


def _make_private(directory: Path) -> None:
    """Create the directory with mode 0700, or refuse one into which another user could write."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.lstat()
    except OSError as error:
        raise ImproperlyConfigured(
            f"The counters' directory {directory} cannot be made: {error.strerror}."
        ) from error
    if not stat.S_ISDIR(status.st_mode):
        raise ImproperlyConfigured(f"The counters' directory {directory} is a symbolic link.")
    if status.st_uid != os.geteuid():
        raise ImproperlyConfigured(
            f"The counters' directory {directory} belongs to user {status.st_uid},"
            f" not to user {os.geteuid()}, who runs this process."
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ImproperlyConfigured(
            f"The counters' directory {directory} is writable by other users:"
            f" mode {stat.S_IMODE(status.st_mode):04o}, and 0700 is safe."
        )


_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NOT_BEGUN = (sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_CANTOPEN)


Statement = tuple[object, ...]  # its text, and its parameters
Done = tuple[list[tuple[Any, ...]], int]  # the rows, and how many it changed


def _code(error: sqlite3.Error) -> int:
    """The primary result code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _done(connection: sqlite3.Connection, statement: Statement) -> Done:
    text, *parameters = statement
    cursor = connection.execute(str(text), parameters)
    return cursor.fetchall(), cursor.rowcount


class CounterFile:
    """The one connection of this process to a counter file.

    Threads take turns on a lock: it hands over at once, where SQLite's own would make them sleep.
    """

    def __init__(self, path: Path) -> None:
        _make_private(path.parent)
        self.lock = threading.Lock()
        self.insertions = itertools.count()
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._next_look = 0.0
        self._inode: tuple[int, int] | None = None

    def execute(self, statement: str, *parameters: object) -> Done:
        """Run one statement as its own transaction; return its rows and how many it changed.

        A file that is damaged or no database is replaced by an empty one; a statement that did not
        begin, since others were opening or closing the file, is tried once more. Raises
        sqlite3.OperationalError where the file stays locked for 5 s or the disk is full.
        """
        return self.execute_together((statement, *parameters))

    def execute_together(self, *statements: Statement) -> Done:
        """As `execute`, but several statements in one transaction; what the last one gave.

        What processes wait for is the lock of a transaction, and not what is done in it.
        """
        began = metrics.now()
        try:
            return self._in_turn(statements)
        finally:
            metrics.trip_ended("host", began)

    def _in_turn(self, statements: Sequence[Statement]) -> Done:
        with self.lock:
            try:
                return self._patiently(statements)
            except sqlite3.DatabaseError as error:
                code = _code(error)
                if code in _NOT_BEGUN:
                    self.close()
                elif code in _DAMAGED:
                    logger.warning("counters in %s start anew: %s", self._path, error)
                    self._discard()
                else:
                    raise
                return self._patiently(statements)

    def _patiently(self, statements: Sequence[Statement]) -> Done:
        """Try again while another process has its turn, which takes a few dozen microseconds: in
        SQLite's own waiting the first pause is a millisecond, and each is longer."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return self._execute(statements)
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(PAUSE_SECONDS)

    def close(self) -> None:
        """Close the connection; the next statement opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _execute(self, statements: Sequence[Statement]) -> Done:
        connection = self._connection
        if connection is None or self._was_replaced():
            connection = self._open()
        if len(statements) == 1:
            return _done(connection, statements[0])
        connection.execute("BEGIN IMMEDIATE")
        try:
            *_, last = [_done(connection, statement) for statement in statements]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return last

    def _open(self) -> sqlite3.Connection:
        self.close()
        with self._exclusive():
            connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._inode = self._inode_at_path()
            try:
                for statement in _SETUP:
                    connection.execute(statement)
                connection.execute("PRAGMA busy_timeout = 0")  # see _patiently
            except BaseException:
                connection.close()
                raise
        self._connection = connection
        return connection

    def _discard(self) -> None:
        self.close()
        with self._exclusive():
            # Unless another process has replaced it already.
            if self._inode == self._inode_at_path():
                for suffix in ("-wal", "-shm", "-journal", ""):
                    Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def _was_replaced(self) -> bool:
        """Look now and then: others may replace the file, and logging out may empty /dev/shm."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + LOOK_SECONDS
        return self._inode != self._inode_at_path()

    def _inode_at_path(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Keep other processes from opening or replacing the file meanwhile."""
        _make_private(self._path.parent)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)


# Django makes a cache object for each thread. What these share stands here.
_files: dict[Path, CounterFile] = {}


def counter_file(path: Path) -> CounterFile:
    """The one object of this process for that file. Raises ImproperlyConfigured as it does."""
    with process_lock:
        if path not in _files:
            _files[path] = CounterFile(path)
        return _files[path]


def _before_fork() -> None:
    """Close the files: SQLite's book of the locks it holds would be wrong in the child."""
    process_lock.acquire()
    for file in _files.values():
        file.lock.acquire()
        file.close()


def _after_fork() -> None:
    for file in _files.values():
        file.lock.release()
    process_lock.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
