"""A Redis or Valkey server, as one process uses it."""

import hashlib
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from django.core.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from fluxiq.counters.breaker import Breaker
from fluxiq.counters.process import process_lock

# ARGV[2] is the time to live in milliseconds: 0 is for ever, empty is "do not create".
_COUNT = """\
local exists = redis.call('EXISTS', KEYS[1])
if exists == 0 and ARGV[2] == '' then return false end
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if exists == 0 and ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return count
"""
_COUNT_SHA = hashlib.sha1(_COUNT.encode(), usedforsecurity=False).hexdigest()

# A hash of names, each with "count at note". Sent whole each time, since what rides along cannot be
# sent again where the server does not know its digest.
TALLY = """\
local count, at, note = 1, ARGV[2], ARGV[3]
local kept = redis.call('HGET', KEYS[1], ARGV[1])
if kept then
  local kept_count, kept_at, kept_note = string.match(kept, '^(%d+) (%d+) (.*)$')
  count = count + kept_count
  if tonumber(kept_at) > tonumber(at) then at, note = kept_at, kept_note end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', count) .. ' ' .. at .. ' ' .. note)
"""

# The batch's id stands under the empty name.
SET_ASIDE = """\
if redis.call('EXISTS', KEYS[2]) == 0 and redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('RENAME', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[2], '', ARGV[1])
end
return redis.call('HGETALL', KEYS[2])
"""

DROP = "if redis.call('HGET', KEYS[1], '') == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class ServerAway(Exception):
    """The server did not answer, or it is left alone."""


class _Connection(Protocol):
    """What is used of redis-py's connection. Its pool and client would add 30 µs to each trip."""

    @property
    def is_connected(self) -> bool: ...
    def pack_command(self, *args: str | bytes | int) -> list[bytes]: ...
    def send_command(self, *args: str | bytes | int, check_health: bool) -> None: ...
    def send_packed_command(self, command: list[bytes], check_health: bool) -> None: ...
    def read_response(self) -> Any: ...
    def can_read(self) -> bool: ...
    def disconnect(self) -> None: ...


class _Thread(threading.local):
    connection: _Connection
    process = 0
    last_use = 0.0
    # A command that waits to be sent, and what to do if the server does not take it.
    rider: tuple[tuple[str | int, ...], Callable[[], None]] | None = None


class Server:
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
            # An unknown option in the URL's query is only noticed here.
            self._new_connection()
        except (TypeError, ValueError, RedisError):
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
        answers = not self.breaker.is_open or self._probe()
        if not answers:
            self._leave_rider()
        return answers

    def _probe(self) -> bool:
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

    def ride(self, *command: str | int, otherwise: Callable[[], None]) -> None:
        """Send this command along with this thread's next one, in the same trip.

        `otherwise` is called where the server does not take it.
        """
        self._leave_rider()
        self._thread.rider = (command, otherwise)

    def count(self, name: str, delta: int, milliseconds: int | None) -> int | None:
        """Add to a counter and return it; None where it is absent and no time to live is given.

        A new counter lives for `milliseconds`, and for ever if these are 0. Raises ServerAway.
        """
        count: int | None = self._guard(self._count, name, delta, milliseconds)
        return count

    def script(self, digest: str, text: str, *arguments: str | int) -> Any:
        """Run a script, by its digest where the server knows it. Raises ServerAway."""
        return self._guard(self._script, digest, text, *arguments)

    def _guard(self, operation: Callable[..., Any], *arguments: Any) -> Any:
        try:
            if not self.answers():
                raise ServerAway
            return operation(*arguments)
        except (RedisError, OSError) as error:
            self.breaker.open(error)
            raise ServerAway from error
        finally:
            self._leave_rider()

    def _leave_rider(self) -> None:
        rider, self._thread.rider = self._thread.rider, None
        if rider is not None:
            rider[1]()

    def _count(self, name: str, delta: int, milliseconds: int | None) -> Any:
        arguments = (1, name, delta, "" if milliseconds is None else milliseconds)
        return self._script(_COUNT_SHA, _COUNT, *arguments)

    def _script(self, digest: str, text: str, *arguments: str | int) -> Any:
        try:
            return self._send("EVALSHA", digest, *arguments)
        except NoScriptError:
            return self._send("EVAL", text, *arguments)

    def _send(self, *command: str | bytes | int) -> Any:
        connection = self._connection()
        rider = self._thread.rider
        try:
            if rider is None:
                connection.send_command(*command, check_health=False)
            else:
                both = [*connection.pack_command(*rider[0]), *connection.pack_command(*command)]
                connection.send_packed_command([b"".join(both)], check_health=False)
                self._see_rider_off(connection)
            return connection.read_response()
        except ResponseError:
            raise
        except BaseException:
            # A reply left unread would be taken for that of the next command.
            connection.disconnect()
            raise

    def _see_rider_off(self, connection: _Connection) -> None:
        try:
            connection.read_response()
        except ResponseError:
            self._leave_rider()
        else:
            self._thread.rider = None

    def _connection(self) -> _Connection:
        thread, now = self._thread, time.monotonic()
        if thread.process != os.getpid():
            thread.connection = self._new_connection()
            thread.process = os.getpid()
        elif now - thread.last_use > self._idle_seconds:
            _drop_if_stale(thread.connection)
        thread.last_use = now
        return thread.connection

    def _new_connection(self) -> _Connection:
        connection: _Connection = self._pool.connection_class(**self._pool.connection_kwargs)
        return connection


def _drop_if_stale(connection: _Connection) -> None:
    """Disconnect where the server has hung up while the connection was idle."""
    try:
        stale = connection.is_connected and connection.can_read()
    except (RedisError, OSError):
        stale = True
    if stale:
        connection.disconnect()


# Django makes a cache object for each thread. What these share stands here.
_servers: dict[tuple[str, str, float, float], Server] = {}


def server(url: str, key_prefix: str, timeout: float, probe_seconds: float) -> Server:
    """The one object of this process for that server. Raises ImproperlyConfigured as it does."""
    identity = (url, key_prefix, timeout, probe_seconds)
    with process_lock:
        if identity not in _servers:
            _servers[identity] = Server(*identity)
        return _servers[identity]
