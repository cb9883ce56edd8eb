"""Counters on a Valkey that tests may kill, freeze and start again."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from fluxiq.counters import SharedCounters
from fluxiq.tests.engines import Engine, free_port, require
from fluxiq.tests.valkey_server import start_valkey

PROBE_SECONDS = 0.1


def check(counters: SharedCounters, key: str = "bucket") -> int:
    """Count as django-ratelimit does."""
    return 1 if counters.add(key, 1, 65) else counters.incr(key)


def run_threads(number: int, target: Callable[[], None]) -> None:
    threads = [threading.Thread(target=target) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Valkey:
    """A server on one port that tests may stop and start again."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.engine = self._start()

    def _start(self) -> Engine:
        return require(lambda: start_valkey(self.port))

    @contextmanager
    def away(self) -> Iterator[None]:
        """Killed, and back with no key and no script."""
        self.engine.stop()
        try:
            yield
        finally:
            self.engine = self._start()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        self.engine.pause()
        try:
            yield
        finally:
            self.engine.resume()

    @contextmanager
    def client(self) -> Iterator["Redis"]:
        with Redis.from_url(self.url, decode_responses=True) as client:
            yield client

    def command(self, line: str) -> None:
        with self.client() as client:
            client.execute_command(line)  # type: ignore[no-untyped-call]


class OnValkey:
    """The fixtures of a class of tests: a server of its own, and counters on it."""

    @pytest.fixture(scope="class")
    @classmethod
    def valkey(cls) -> Iterator[Valkey]:
        """The one server of a class."""
        valkey = Valkey()
        yield valkey
        valkey.engine.stop()

    @pytest.fixture
    def params(self, tmp_path: Path) -> dict[str, Any]:
        """With keys and a fallback of the test's own."""
        fallback = tmp_path / "private" / "counters.sqlite3"
        options = {"fallback": fallback, "probe_seconds": PROBE_SECONDS}
        return {"KEY_PREFIX": uuid4().hex, "OPTIONS": options}

    @pytest.fixture
    def counters(self, valkey: Valkey, params: dict[str, Any]) -> SharedCounters:
        """What counts there."""
        return SharedCounters(valkey.url, params)
