"""Counting for `/metrics`: what the rest of the service calls. No Django in it.

Each call takes well under a microsecond: see `fluxiq.metrics.cells`.
"""

from bisect import bisect_left
from time import perf_counter_ns

from fluxiq.metrics import cells
from fluxiq.metrics.families import (
    COUNTING,
    HASHING_WAIT,
    RATE_LIMIT,
    REQUEST_BOUNDS,
    REQUESTS,
    TRIP_BOUNDS,
    Family,
)

__all__ = ["add", "bucket_counted", "hashing_waited", "now", "put", "request_ended", "trip_ended"]

now = perf_counter_ns

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_RESULTS = ("allowed", "limited")


def request_ended(method: str, route: str | None, status: int, kind: str, began: int) -> None:
    """Count a request, and the time since it `began` (by `now`)."""
    if method not in _METHODS:
        method = "other"  # a client may invent as many as it likes
    mine = cells.thread.cells
    cell = mine.get((REQUESTS.name, method, route or "", status, kind))
    if cell is None:
        cell = cells.new(mine, REQUESTS, (method, route or "", status, kind))
    took = perf_counter_ns() - began
    cell[bisect_left(REQUEST_BOUNDS, took)] += 1
    cell[-1] += took


def trip_ended(place: str, began: int) -> None:
    """Count a trip to the counters in `place` (server, host), and its time since it `began`."""
    mine = cells.thread.cells
    cell = mine.get((COUNTING.name, place))
    if cell is None:
        cell = cells.new(mine, COUNTING, (place,))
    took = perf_counter_ns() - began
    cell[bisect_left(TRIP_BOUNDS, took)] += 1
    cell[-1] += took


def hashing_waited(began: int) -> None:
    """Count a password that got its turn, and its wait since it `began`."""
    mine = cells.thread.cells
    cell = mine.get((HASHING_WAIT.name,))
    if cell is None:
        cell = cells.new(mine, HASHING_WAIT, ())
    took = perf_counter_ns() - began
    cell[bisect_left(HASHING_WAIT.bounds, took)] += 1
    cell[-1] += took


def bucket_counted(kind: str, is_exceeded: bool) -> None:
    """Count what was counted in a bucket of that kind, and whether it was one too many."""
    result = _RESULTS[is_exceeded]
    mine = cells.thread.cells
    cell = mine.get((RATE_LIMIT.name, kind, result))
    if cell is None:
        cell = cells.new(mine, RATE_LIMIT, (kind, result))
    cell[0] += 1


def add(family: Family, *labels: str) -> None:
    """Count one."""
    mine = cells.thread.cells
    cell = mine.get((family.name, *labels))
    if cell is None:
        cell = cells.new(mine, family, labels)
    cell[0] += 1


def put(family: Family, value: int) -> None:
    """Set what this process tells of itself."""
    cell = cells.shared.get((family.name,))
    if cell is None:
        cell = cells.new(cells.shared, family, ())
    cell[0] = value
