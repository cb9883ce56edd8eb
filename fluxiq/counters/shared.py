"""Counters in Redis or Valkey, for all machines."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.exceptions import ImproperlyConfigured

from fluxiq.counters.embedded import EmbeddedCounters, integer
from fluxiq.counters.memory import Asked, memory_of
from fluxiq.counters.naming import every_tag, tag_of, tallies_name
from fluxiq.counters.server import DROP, NOTE, SET_ASIDE, TALLY, ServerAway, server
from fluxiq.counters.tallies import Batch, Counters, Tally, new_batch_id

SERVER_TIMEOUT = 0.1
PROBE_SECONDS = 1.0
SCAN_COUNT = 1000
TIME = "return redis.call('TIME')"  # by a key's name, which says to a cluster whom to ask


class SharedCounters(Counters):
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
        self._server = server(
            location,
            self.key_prefix,
            options.get("timeout", SERVER_TIMEOUT),
            options.get("probe_seconds", PROBE_SECONDS),
        )
        self.breaker = self._server.breaker
        self._added = threading.local()
        self._memory = memory_of(self._server, self.make_key)
        self.memory = self._memory

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
        if integer(value) in (0, 1):
            self._added.latest = (name, timeout)
            if self._server.answers():
                return False
            return self._fallback.add(key, value, timeout, version)
        try:
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
            self._server.call("SET", name, integer(value), *expiry)
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
        asked = self._memory.asked
        try:
            if asked is not None and added:
                return self._recall(asked, name, timeout)
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

    def _recall(self, asked: Asked, name: str, timeout: float | None) -> int:
        """Count as `Memory.count` does. Raises ValueError where not all is remembered."""
        try:
            count = self._memory.count(asked, name, self._milliseconds(timeout))
        except ServerAway as error:
            raise ValueError("nothing is remembered while the server is away") from error
        if count is None:
            raise ValueError("not all is remembered")
        return count

    def clear(self) -> None:
        """Remove the server's keys under this cache's KEY_PREFIX, and what this host counted."""
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

    def time(self) -> float:
        """The server's clock, in seconds of Unix time. Raises ServerAway."""
        seconds, microseconds = self._server.call("EVAL", TIME, 1, self.make_key("time"))
        return int(seconds) + int(microseconds) / 1_000_000

    def is_degraded(self) -> bool:
        """Whether the server is away, so that this host counts for itself. See `Counters`."""
        return not self._server.takes_counts() and not self._fallback.is_degraded()

    @property
    def places(self) -> tuple[Counters, ...]:
        """Itself, for the server's tallies, and this host's, for those of when it was away."""
        return (self, self._fallback)

    def tally(
        self, name: str, *, owner: str = "", at: int = 0, note: str = "", ride: bool = False
    ) -> None:
        """See `Counters`. What the server does not take is tallied on this host."""
        tallies = self.make_key(tallies_name(tag_of(owner)))
        command = ("EVAL", TALLY, 1, tallies, name, at, note)
        on_this_host = partial(self._fallback.tally, name, at=at, note=note)
        if ride:
            self._server.ride(*command, otherwise=on_this_host)
            return
        try:
            self._server.call(*command)
        except ServerAway:
            on_this_host()

    def batches(self) -> Iterator[Batch]:
        """See `Counters`. Those of the server alone, shard by shard; none while it is away."""
        with suppress(ServerAway):
            for tag in every_tag():
                tallies = self.make_key(tallies_name(tag))
                yield from self._batches_of(tallies, f"{tallies}-aside")

    def _batches_of(self, tallies: str, aside: str) -> Iterator[Batch]:
        mine = new_batch_id()
        while kept := self._server.call("EVAL", SET_ASIDE, 2, tallies, aside, mine):
            batch = _batch(kept)
            yield batch
            self._server.call("EVAL", DROP, 1, aside, batch.id)
            if batch.id == mine:
                return

    def _milliseconds(self, timeout: float | None) -> int:
        """Return a time to live as the server takes it: at least 1, or 0 for ever."""
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return 0 if seconds is None else max(1, int(seconds * 1000))

    def _expiry(self, timeout: float | None) -> tuple[str | int, ...]:
        milliseconds = self._milliseconds(timeout)
        return ("PX", milliseconds) if milliseconds else ()


def _batch(kept: list[bytes]) -> Batch:
    """What the server set aside: names and values in turn."""
    texts = iter([item.decode() for item in kept])
    values = dict(zip(texts, texts, strict=True))
    batch_id = values.pop("")
    tallies = {}
    for name, count in values.items():
        if not name.startswith(NOTE):
            at, _, note = values.get(NOTE + name, "0 ").partition(" ")
            tallies[name] = Tally(int(count), int(at), note)
    return Batch(batch_id, tallies)
