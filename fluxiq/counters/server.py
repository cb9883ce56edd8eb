"""A Redis or Valkey server, as one process uses it."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from django.core.exceptions import ImproperlyConfigured
from redis.exceptions import NoScriptError, RedisError, ResponseError

from fluxiq import metrics
from fluxiq.counters.breaker import Breaker
from fluxiq.counters.cluster import Cluster, is_cluster
from fluxiq.counters.process import process_lock
from fluxiq.counters.wire import Command, Wires
from fluxiq.metrics.families import BREAKER_OPEN, BREAKER_OPENINGS

# ARGV[2] is the time to live in milliseconds: 0 is for ever, empty is "do not create".
_COUNT = """\
local exists = redis.call('EXISTS', KEYS[1])
if exists == 0 and ARGV[2] == '' then return false end
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if exists == 0 and ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return count
"""
_COUNT_SHA = hashlib.sha1(_COUNT.encode(), usedforsecurity=False).hexdigest()

# A hash of names with their counts, and of their notes, "at note" under the name after NOTE. Sent
# whole each time, since what rides along cannot be sent again where the server does not know its
# digest.
NOTE = "@"
TALLY = f"""\
redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
local name, note = '{NOTE}' .. ARGV[1], ARGV[2] .. ' ' .. ARGV[3]
if redis.call('HSETNX', KEYS[1], name, note) == 0 then
  local at = string.match(redis.call('HGET', KEYS[1], name), '^%d+')
  if tonumber(at) <= tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], name, note) end
end
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


def count_breaker(is_open: bool) -> None:
    """Tell the metrics that this process leaves the server alone, or uses it again."""
    metrics.put(BREAKER_OPEN, int(is_open))
    if is_open:
        metrics.add(BREAKER_OPENINGS)


class ServerAway(Exception):
    """The server did not answer, or it is left alone."""


class _Line(Protocol):
    """What commands are sent over: a connection to one server, or the client of a cluster."""

    def ask(self, command: Command) -> Any: ...
    def ask_both(self, first: Command, second: Command) -> tuple[Any, Any]: ...
    def close(self) -> None: ...


class _Thread(threading.local):
    # A command that waits to be sent, and what to do if the server does not take it.
    rider: tuple[Command, Callable[[], None]] | None = None


class Server:
    """A Redis or Valkey server, or a cluster of them, as this process sees it."""

    def __init__(self, url: str, key_prefix: str, timeout: float, probe_seconds: float) -> None:
        self._line: Callable[[], _Line]
        self._fresh: Callable[[float], _Line]
        try:
            if is_cluster(url):
                cluster = Cluster(url, timeout)
                self._line, self._fresh, address = cluster.line, cluster.fresh, cluster.address
            else:
                wires = Wires(url, timeout, idle_seconds=probe_seconds)
                self._line, self._fresh, address = wires.mine, wires.fresh, wires.address
        except (TypeError, ValueError, RedisError):
            # The error's own text may hold a part of the password.
            raise ImproperlyConfigured(
                "SharedCounters needs a URL like redis://host:6379/0 as LOCATION."
            ) from None
        server = f"counter server {address}"
        self.breaker = Breaker(server, probe_seconds, on_change=count_breaker)
        self._probe_key = f"{key_prefix}:probe"
        self._thread = _Thread()

    def answers(self) -> bool:
        """Return False while the server is left alone, after a probe where one is due."""
        answers = not self.breaker.is_open or self._probe()
        if not answers:
            self._leave_rider()
        return answers

    def takes_counts(self) -> bool:
        """Whether the server counts, found out now. One that is left alone is tried when due."""
        try:
            self._guard(self._count, self._probe_key, 1, 1000)
        except ServerAway:
            return False
        return True

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

    def insist(self, commands: Sequence[Command], timeout: float) -> None:
        """Send these though the server be left alone, over a connection of their own that waits
        longer: for what must not be missed because one answer was late. Raises ServerAway."""
        line = self._fresh(timeout)
        try:
            for command in commands:
                line.ask(command)
        except (RedisError, OSError) as error:
            raise ServerAway from error
        finally:
            line.close()

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
        line, rider = self._line(), self._thread.rider
        began = metrics.now()
        try:
            if rider is None:
                return line.ask(command)
            ridden, reply = line.ask_both(rider[0], command)
        finally:
            metrics.trip_ended("server", began)
        if isinstance(ridden, ResponseError):
            self._leave_rider()
        self._thread.rider = None
        if isinstance(reply, ResponseError):
            raise reply
        return reply


# Django makes a cache object for each thread. What these share stands here.
_servers: dict[tuple[str, str, float, float], Server] = {}


def server(url: str, key_prefix: str, timeout: float, probe_seconds: float) -> Server:
    """The one object of this process for that server. Raises ImproperlyConfigured as it does."""
    identity = (url, key_prefix, timeout, probe_seconds)
    with process_lock:
        if identity not in _servers:
            _servers[identity] = Server(*identity)
        return _servers[identity]
