"""Two requests at once: one is held at a statement boundary while the other one runs.

Each of the two has a thread and a database connection of its own. A boundary is the moment before a
statement, and before a commit. The first request is held at its n-th boundary; the second one runs
until it is answered or waits for a lock; then the first one continues. Trying every n covers every
way in which one request can overtake another one once.

What happened is one list of steps of both, in order, so that a test can ask what was written after
what was committed.
"""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar
from unittest import mock

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import load_backend

from fluxiq.settings.engines import database
from fluxiq.tests.waiting import wait_until

R = TypeVar("R")

ALIAS = "default"
PAUSE = 0.002  # seconds between two looks at whether a request waits for a lock
STUCK = 0.03  # seconds in one statement, after which a request on SQLite waits for its lock
WAITING = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
WRITES = ("INSERT", "UPDATE", "DELETE", "WITH")


@dataclass(frozen=True)
class Step:
    """A statement or a commit of one of the two, and the ticks at which it began and was done."""

    lane: str
    writes: bool
    commits: bool
    sql: str
    began: int = 0
    done: int = 0


@dataclass
class Lane:
    """What one of the two requests does to the database."""

    name: str
    steps: list[Step]
    ticks: Iterator[int]
    inside: bool = True  # whether a statement within a transaction is a boundary too
    hold_at: int = 0  # which boundary to stop at, counted from 1; 0 is none
    passed: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    in_statement_since: float | None = None

    def statement(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        """Django's execute wrapper."""
        writes = sql.lstrip().startswith(WRITES)
        in_transaction = context["connection"].in_atomic_block
        step = Step(self.name, writes, writes and not in_transaction, sql)
        if self.inside or not in_transaction:
            self._stop_at_boundary()
        return self._step(lambda: execute(sql, params, many, context), step)

    def commit(self, commit: Callable[[], None]) -> None:
        """In the place of the connection's own."""
        self._stop_at_boundary()
        self._step(commit, Step(self.name, writes=False, commits=True, sql="COMMIT"))

    def _stop_at_boundary(self) -> None:
        self.passed += 1
        if self.passed == self.hold_at:
            self.held.set()
            assert self.released.wait(30), f"{self.name} was not released"

    def _step(self, do: Callable[[], Any], step: Step) -> Any:
        self.in_statement_since = time.monotonic()
        began = next(self.ticks)
        try:
            result = do()
        finally:
            self.in_statement_since = None
        self.steps.append(replace(step, began=began, done=next(self.ticks)))
        return result


class Arena:
    """A database that both engines' tests run on, and one thread for each of the two requests."""

    def __init__(self, url: str) -> None:
        self.is_sqlite = url.startswith("sqlite")
        self._url = url
        with mock.patch.dict(os.environ, {"ARENA_URL": url}):
            settings = database("ARENA_URL")
        settings["OPTIONS"].pop("pool", None)
        # Django's own defaults for what the URL does not say.
        self._settings = {**connections.settings[ALIAS], "CONN_HEALTH_CHECKS": False, **settings}
        self._pools = {name: ThreadPoolExecutor(1, name) for name in ("held", "other")}
        self._open: list[BaseDatabaseWrapper] = []
        self._watch: psycopg.Connection[Any] | None = None

    def connect(self) -> BaseDatabaseWrapper:
        """Make this thread's connection one to the arena."""
        backend = load_backend(self._settings["ENGINE"])
        wrapper: BaseDatabaseWrapper = backend.DatabaseWrapper(self._settings, ALIAS)
        wrapper.inc_thread_sharing()  # closed by the thread that closes the arena
        wrapper.force_debug_cursor = True  # nothing goes past the execute wrappers
        connections[ALIAS] = wrapper
        self._open.append(wrapper)
        return wrapper

    def open(self) -> None:
        """Connect every thread that takes part."""
        self.connect()
        for pool in self._pools.values():
            pool.submit(self.connect).result()
        if not self.is_sqlite:
            self._watch = psycopg.connect(self._url, autocommit=True)

    def close(self) -> None:
        """End the threads and their connections."""
        for pool in self._pools.values():
            pool.shutdown()
        for wrapper in self._open:
            wrapper.close()
        if self._watch is not None:
            self._watch.close()

    def interleave(
        self, held: Callable[[], R], other: Callable[[], R], at: int
    ) -> "Interleaved[R] | None":
        """Hold the first at its boundary of that number, and run the other there.

        None where the first has no such boundary: then it was run alone, and the other one not.
        """
        steps, ticks = list[Step](), itertools.count()
        # On SQLite a transaction takes the one lock of the file as it begins: until its commit the
        # other request can only read what was there before, wherever the first one is held.
        first = Lane("held", steps, ticks, inside=not self.is_sqlite, hold_at=at)
        second = Lane("other", steps, ticks)
        running = self._pools["held"].submit(self._run, first, held)
        wait_until(lambda: first.held.is_set() or running.done(), pause=0.0005)
        if not first.held.is_set():
            running.result()
            return None
        try:
            beside = self._pools["other"].submit(self._run, second, other)
            wait_until(lambda: beside.done() or self._waits(second), pause=PAUSE)
            overtook = beside.done()
        finally:
            first.released.set()
        return Interleaved(running.result(), beside.result(), steps, overtook)

    def _run(self, lane: Lane, request: Callable[[], R]) -> R:
        wrapper = connections[ALIAS]
        commit = wrapper.commit
        wrapper.queries_log.clear()
        with (
            wrapper.execute_wrapper(lane.statement),
            mock.patch.object(wrapper, "commit", partial(lane.commit, commit)),
            mock.patch.object(wrapper, "close_if_unusable_or_obsolete"),
        ):
            return request()

    def _waits(self, lane: Lane) -> bool:
        """Whether this request waits for a lock that the other one holds."""
        since = lane.in_statement_since
        if since is None:
            return False
        if self._watch is None:
            return time.monotonic() - since > STUCK
        return self._watch.execute(WAITING).fetchone() is not None


@dataclass(frozen=True)
class Interleaved(Generic[R]):
    """How two requests were answered, and what they did in which order."""

    held: R
    other: R
    steps: list[Step]
    overtook: bool  # the other one was answered while the first was held

    def wrote_after(self, writer: str, committer: str) -> bool:
        """Whether `writer` began its last commit after the last one of `committer` was done."""
        written, committed = self._last_commit(writer), self._last_commit(committer)
        return written is not None and committed is not None and written.began > committed.done

    def _last_commit(self, lane: str) -> Step | None:
        """The step that committed the last that this request wrote."""
        last, pending = None, False
        for step in self.steps:
            if step.lane == lane:
                pending = pending or step.writes
                if step.commits and pending:
                    last, pending = step, False
        return last


@contextmanager
def arena(url: str) -> Iterator[Arena]:
    """An arena on that database, which is migrated. Afterwards the thread has its own back."""
    mine = connections[ALIAS]
    opened = Arena(url)
    try:
        opened.open()
        yield opened
    finally:
        opened.close()
        connections[ALIAS] = mine
