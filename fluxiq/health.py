"""Is this process alive, and is it ready? For load balancers; not counted, and no secrets."""

import sqlite3

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from fluxiq import counters, writes
from fluxiq.draining import is_draining
from fluxiq.errors import ServiceUnavailable, render

NO_STORE = {"Cache-Control": "no-store"}

_migrated = False  # migrations are not undone under a process that runs


def live(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers."""
    return JsonResponse({"data": {"status": "live"}}, headers=NO_STORE)


def ready(request: HttpRequest) -> JsonResponse:
    """200 when the database answers, every migration is applied and requests can be counted, else
    503. `degraded` is as ready, but something is to be mended: it counts on this host alone, since
    the server of the counts is away, or SQLite's disk is full, and what only reads is served.
    503 also once the server was told to stop."""
    global _migrated  # noqa: PLW0603 - asked often, and a "yes" stays one
    if is_draining():
        return _not_ready(request, "server", "stopping")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not _migrated:
            executor = MigrationExecutor(connection)
            _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error:
        return _not_ready(request, "database", "unreachable")
    if not _migrated:
        return _not_ready(request, "migrations", "not applied")
    degraded = {}
    try:
        if counters.of_requests().is_degraded():
            degraded["counters"] = "this host alone"
        if writes.are_refused():
            degraded["database"] = "takes no writes"
    except sqlite3.Error:
        return _not_ready(request, "counters", "unusable")
    except Error:
        return _not_ready(request, "database", "unreachable")
    data = {"status": "degraded" if degraded else "ready", **degraded}
    return JsonResponse({"data": data}, headers=NO_STORE)


def _not_ready(request: HttpRequest, part: str, state: str) -> JsonResponse:
    error = ServiceUnavailable(getattr(request, "request_id", None))
    error.extra["details"] = {part: [state]}
    response = render(error)
    response.headers["Cache-Control"] = "no-store"
    return response
