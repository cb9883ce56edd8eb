"""Exact integer counters for rate limits and throttles, as Django cache backends.

`EmbeddedCounters` counts in an SQLite file, for all processes of one machine. `SharedCounters`
counts in Redis or Valkey, for all machines, and on its own host while the server is away.
"""

import fcntl
import hashlib
import itertools
import logging
import os
import sqlite3
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry

logger = logging.getLogger(__name__)

# Guards what the threads of a process share besides a file's connection.
_lock = threading.Lock()

BUSY_SECONDS = 5.0
LOOK_SECONDS = 0.1
SERVER_TIMEOUT = 0.1
PROBE_SECONDS = 1.0

# A purge may remove twice what was added since the last one, so expired rows cannot pile up.
PURGE_EVERY = 32
PURGE_BATCH = 64
SCAN_COUNT = 1000

# WAL was measured against every other journal mode (4 processes in /dev/shm): it is the fastest
# and, with synchronous OFF, the one that a killed process cannot corrupt. MEMORY and OFF can be.
_SETUP = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = OFF",
    "CREATE TABLE IF NOT EXISTS counters (key TEXT PRIMARY KEY, value INTEGER NOT NULL,"
    " expires REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS counters_expires ON counters (expires)",
)
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

# ARGV[2] is the time to live in milliseconds: 0 is for ever, empty is "do not create".
_COUNT = """\
local exists = redis.call('EXISTS', KEYS[1])
if exists == 0 and ARGV[2] == '' then return false end
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if exists == 0 and ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return count
"""
_COUNT_SHA = hashlib.sha1(_COUNT.encode(), usedforsecurity=False).hexdigest()


def default_location(identity: str) -> Path:
    """Return the counter file of the installation that `identity` names, in shared memory if any.

    Every process of the same user that gives the same identity gets the same path.
    """
    shared_memory = Path("/dev/shm")  # noqa: S108 (the directory inside is checked to be private)
    usable = shared_memory.is_dir() and os.access(shared_memory, os.W_OK | os.X_OK)
    base = shared_memory if usable else Path(tempfile.gettempdir())
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return base / f"fluxiq-{os.geteuid()}-{digest}" / "counters.sqlite3"


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


def _integer(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"a counter holds an integer, not {type(value).__name__}")
    return value


class _CounterFile:
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

    def execute(self, statement: str, *parameters: object) -> tuple[list[tuple[int, ...]], int]:
        """Run one statement as its own transaction; return its rows and how many it changed.

        A file that is damaged or no database is replaced by an empty one. Raises
        sqlite3.OperationalError where the file stays locked for 5 s or the disk is full.
        """
        with self.lock:
            try:
                return self._execute(statement, parameters)
            except sqlite3.DatabaseError as error:
                damaged = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in damaged:
                    raise
                logger.warning("counters in %s start anew: %s", self._path, error)
                self._discard()
                return self._execute(statement, parameters)

    def close(self) -> None:
        """Close the connection; the next statement opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _execute(
        self, statement: str, parameters: tuple[object, ...]
    ) -> tuple[list[tuple[int, ...]], int]:
        connection = self._connection
        if connection is None or self._was_replaced():
            connection = self._open()
        cursor = connection.execute(statement, parameters)
        return cursor.fetchall(), cursor.rowcount

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


class EmbeddedCounters(BaseCache):
    """Integer counters in an SQLite file, exact over the threads and processes of one machine.

    LOCATION is the path of the file, which belongs into shared memory (`default_location`). Its
    directory is made with mode 0700; ImproperlyConfigured is raised for one that others can write.
    """

    def __init__(self, location: str | Path, params: dict[str, Any]) -> None:
        super().__init__(params)
        if not location:
            raise ImproperlyConfigured("EmbeddedCounters needs the path of a file as LOCATION.")
        self._file = _counter_file(Path(location).absolute())

    def add(
        self,
        key: Any,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        """Store an integer where the key is absent or expired; return whether it was stored."""
        name, expires = self.make_key(key, version), self._expires(timeout)
        _, changed = self._file.execute(_ADD, name, _integer(value), expires, time.time())
        if changed:
            self._purge_at_times()
        return bool(changed)

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return the count, or the default where the key is absent or expired."""
        rows, _ = self._file.execute(_GET, self.make_key(key, version), time.time())
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
        self._file.execute(_SET, name, _integer(value), expires)
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
        rows, _ = self._file.execute(_INCR, delta, self.make_key(key, version), time.time())
        if not rows:
            raise ValueError("no counter under this key")
        return rows[0][0]

    def clear(self) -> None:
        """Remove every counter of the file."""
        self._file.execute(_CLEAR)

    def _expires(self, timeout: float | None) -> float:
        expires = self.get_backend_timeout(timeout)
        return float("inf") if expires is None else expires

    def _purge_at_times(self) -> None:
        if next(self._file.insertions) % PURGE_EVERY == 0:
            self._file.execute(_PURGE, time.time(), PURGE_BATCH)


class Breaker:
    """Whether a server is left alone because it failed; one for each server and process."""

    def __init__(self, server: str, probe_seconds: float) -> None:
        self._server = server
        self._probe_seconds = probe_seconds
        self._open = False
        self._next_probe = 0.0
        self._prober: int | None = None

    @property
    def is_open(self) -> bool:
        """True while the server is away and counting is local to this host."""
        return self._open

    def open(self, error: Exception) -> None:
        """Leave the server alone until a probe succeeds."""
        with _lock:
            was_open, self._open = self._open, True
            self._next_probe = time.monotonic() + self._probe_seconds
        if not was_open:
            logger.warning(
                "%s is away (%s: %s): counting on this host",
                self._server,
                type(error).__name__,
                error,
            )

    def close(self) -> None:
        """Use the server again."""
        with _lock:
            was_open, self._open = self._open, False
        if was_open:
            logger.warning("%s is back: counting is shared again", self._server)

    @contextmanager
    def probe(self) -> Iterator[bool]:
        """Yield whether the caller is the one to try the server now."""
        with _lock:
            # The process id, since a child forked meanwhile inherits the mark but not the prober.
            mine = self._prober != os.getpid() and time.monotonic() >= self._next_probe
            if mine:
                self._prober = os.getpid()
        try:
            yield mine
        finally:
            if mine:
                self._prober = None


class ServerAway(Exception):
    """The server did not answer, or it is left alone."""


class _Connection(Protocol):
    """What is used of redis-py's connection: going without its pool and client halves the time."""

    @property
    def is_connected(self) -> bool: ...
    def send_command(self, *args: str | bytes | int, check_health: bool) -> None: ...
    def read_response(self) -> Any: ...
    def can_read(self) -> bool: ...
    def disconnect(self) -> None: ...


class _Thread(threading.local):
    connection: _Connection
    process = 0
    last_use = 0.0


class _Server:
    """A Redis or Valkey server as this process sees it: a connection per thread and a breaker."""

    def __init__(self, url: str, key_prefix: str, timeout: float, probe_seconds: float) -> None:
        try:
            self._pool = ConnectionPool.from_url(
                url,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                retry=Retry(NoBackoff(), 0),
                health_check_interval=0,
                # Neither HELLO nor CLIENT SETINFO: connecting takes no more trips than it must.
                protocol=2,
                driver_info=None,
            )
        except ValueError:
            # The error's own text may hold a part of the password.
            raise ImproperlyConfigured(
                "SharedCounters needs a URL like redis://host:6379/0 as LOCATION."
            ) from None
        where = self._pool.connection_kwargs
        address = where.get("path") or f"{where.get('host', 'localhost')}:{where.get('port', 6379)}"
        self.breaker = Breaker(f"counter server {address}/{where.get('db', 0)}", probe_seconds)
        self._probe_key = f"{key_prefix}:probe"
        self._idle_seconds = probe_seconds
        self._thread = _Thread()

    def answers(self) -> bool:
        """Return False while the server is left alone, after a probe where one is due."""
        if not self.breaker.is_open:
            return True
        with self.breaker.probe() as mine:
            if not mine:
                return False
            try:
                # A read would also succeed on a server that is read-only or full.
                self._count(self._probe_key, 1, 1000)
            except (RedisError, OSError) as error:
                self.breaker.open(error)
                return False
            self.breaker.close()
            return True

    def call(self, *command: str | bytes | int) -> Any:
        """Send one command and return the reply. Raises ServerAway."""
        return self._guard(self._send, *command)

    def count(self, name: str, delta: int, milliseconds: int | None) -> int | None:
        """Add to a counter and return it; None where it is absent and no time to live is given.

        A new counter lives for `milliseconds`, and for ever if these are 0. Raises ServerAway.
        """
        count: int | None = self._guard(self._count, name, delta, milliseconds)
        return count

    def _guard(self, operation: Callable[..., Any], *arguments: Any) -> Any:
        if not self.answers():
            raise ServerAway
        try:
            return operation(*arguments)
        except (RedisError, OSError) as error:
            self.breaker.open(error)
            raise ServerAway from error

    def _count(self, name: str, delta: int, milliseconds: int | None) -> Any:
        arguments = (1, name, delta, "" if milliseconds is None else milliseconds)
        try:
            return self._send("EVALSHA", _COUNT_SHA, *arguments)
        except NoScriptError:
            return self._send("EVAL", _COUNT, *arguments)

    def _send(self, *command: str | bytes | int) -> Any:
        connection = self._connection()
        try:
            connection.send_command(*command, check_health=False)
            return connection.read_response()
        except ResponseError:
            raise
        except BaseException:
            # A reply left unread would be taken for that of the next command.
            connection.disconnect()
            raise

    def _connection(self) -> _Connection:
        thread, now = self._thread, time.monotonic()
        if thread.process != os.getpid():
            thread.connection = self._pool.connection_class(**self._pool.connection_kwargs)
            thread.process = os.getpid()
        elif now - thread.last_use > self._idle_seconds:
            _drop_if_stale(thread.connection)
        thread.last_use = now
        return thread.connection


def _drop_if_stale(connection: _Connection) -> None:
    """Disconnect where the server has hung up while the connection was idle."""
    try:
        stale = connection.is_connected and connection.can_read()
    except (RedisError, OSError):
        stale = True
    if stale:
        connection.disconnect()


class SharedCounters(BaseCache):
    """Integer counters in Redis or Valkey, exact over all hosts, one round trip for each check.

    LOCATION is a redis:// (rediss://, unix://) URL. OPTIONS: `fallback` (required), the path of
    this host's EmbeddedCounters, which count while the server is away; `timeout`, the seconds that
    it has to answer (0.1); `probe_seconds`, how often it is tried while away (1.0).
    No error of the server reaches the caller. `breaker.is_open` says whether it is away.

    To spare a trip, `add` of 0 or 1 stores nothing and returns False: it keeps the time to live
    for the same thread's `incr` of the same key, which then creates the counter.
    """

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        options = params.get("OPTIONS", {})
        if "fallback" not in options:
            raise ImproperlyConfigured('SharedCounters needs OPTIONS["fallback"], a path.')
        self._fallback = EmbeddedCounters(options["fallback"], params)
        self._server = _server(
            location,
            self.key_prefix,
            options.get("timeout", SERVER_TIMEOUT),
            options.get("probe_seconds", PROBE_SECONDS),
        )
        self.breaker = self._server.breaker
        self._added = threading.local()

    def add(
        self,
        key: Any,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        """Store an integer where the key is absent; return whether it was stored.

        0 and 1 are left for `incr` to store (see the class).
        """
        name = self.make_key(key, version)
        deferred = _integer(value) in (0, 1)
        if deferred:
            self._added.latest = (name, timeout)
        try:
            if deferred and self._server.answers():
                return False
            expiry = self._expiry(timeout)
            return self._server.call("SET", name, value, "NX", *expiry) is not None
        except ServerAway:
            return self._fallback.add(key, value, timeout, version)

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return the count, or the default where the key is absent or expired."""
        try:
            count = self._server.call("GET", self.make_key(key, version))
        except ServerAway:
            return self._fallback.get(key, default, version)
        return default if count is None else int(count)

    def set(
        self,
        key: Any,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> None:
        """Store an integer, whatever was there."""
        name, expiry = self.make_key(key, version), self._expiry(timeout)
        try:
            self._server.call("SET", name, _integer(value), *expiry)
        except ServerAway:
            self._fallback.set(key, value, timeout, version)

    def touch(
        self, key: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Give the key a new time to live; return whether it was there."""
        name, milliseconds = self.make_key(key, version), self._milliseconds(timeout)
        command = ("PEXPIRE", name, milliseconds) if milliseconds else ("PERSIST", name)
        try:
            return bool(self._server.call(*command))
        except ServerAway:
            return self._fallback.touch(key, timeout, version)

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Remove the key; return whether it was there."""
        try:
            return bool(self._server.call("DEL", self.make_key(key, version)))
        except ServerAway:
            return self._fallback.delete(key, version)

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Add `delta` and return the new count.

        Raises ValueError where the key is absent and this thread did not just `add` it.
        """
        name = self.make_key(key, version)
        added = delta > 0 and getattr(self._added, "latest", ("", None))[0] == name
        timeout = self._added.latest[1] if added else None
        try:
            count = self._server.count(name, delta, self._milliseconds(timeout) if added else None)
        except ServerAway:
            if added and self._fallback.add(key, delta, timeout, version):
                return delta
            return self._fallback.incr(key, delta, version)
        finally:
            if added:
                del self._added.latest
        if count is None:
            raise ValueError("no counter under this key")
        return count

    def clear(self) -> None:
        """Remove the server's keys under this cache's KEY_PREFIX, and this host's counters."""
        self._fallback.clear()
        pattern = "".join(f"\\{c}" if c in r"\*?[]" else c for c in self.key_prefix) + ":*"
        cursor = b""
        with suppress(ServerAway):
            while cursor != b"0":
                cursor, names = self._server.call(
                    "SCAN", cursor or b"0", "MATCH", pattern, "COUNT", SCAN_COUNT
                )
                if names:
                    self._server.call("DEL", *names)

    def _milliseconds(self, timeout: float | None) -> int:
        """Return a time to live as the server takes it: at least 1, or 0 for ever."""
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return 0 if seconds is None else max(1, int(seconds * 1000))

    def _expiry(self, timeout: float | None) -> tuple[str | int, ...]:
        milliseconds = self._milliseconds(timeout)
        return ("PX", milliseconds) if milliseconds else ()


# Django makes a cache object for each thread. What these share stands here.
_files: dict[Path, _CounterFile] = {}
_servers: dict[tuple[str, str, float, float], _Server] = {}


def _counter_file(path: Path) -> _CounterFile:
    with _lock:
        if path not in _files:
            _files[path] = _CounterFile(path)
        return _files[path]


def _server(url: str, key_prefix: str, timeout: float, probe_seconds: float) -> _Server:
    identity = (url, key_prefix, timeout, probe_seconds)
    with _lock:
        if identity not in _servers:
            _servers[identity] = _Server(*identity)
        return _servers[identity]


def _before_fork() -> None:
    """Close the files: SQLite's book of the locks it holds would be wrong in the child."""
    _lock.acquire()
    for file in _files.values():
        file.lock.acquire()
        file.close()


def _after_fork() -> None:
    for file in _files.values():
        file.lock.release()
    _lock.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
