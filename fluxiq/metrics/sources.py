"""What is not counted but looked at: the pool of connections."""

from typing import Any

from django.db import connection

from fluxiq import metrics
from fluxiq.metrics.families import POOL_IN_USE, POOL_MAX, POOL_SIZE, POOL_WAITING


def look_at_pool() -> None:
    """Tell how this process's pool of connections stands, where it has one."""
    pool: Any = getattr(connection, "pool", None)  # of Django's PostgreSQL backend alone
    if pool is None:
        return
    found = pool.get_stats()
    size, available = found.get("pool_size", 0), found.get("pool_available", 0)
    metrics.put(POOL_MAX, found.get("pool_max", 0))
    metrics.put(POOL_SIZE, size)
    metrics.put(POOL_IN_USE, max(0, size - available))
    metrics.put(POOL_WAITING, found.get("requests_waiting", 0))
