"""Events that a caller can bring about at will, told once an hour, not to flood the trail."""

import sqlite3

from django.utils import timezone

from fluxiq import counters
from fluxiq.errors import ServiceUnavailable

HOUR = 60 * 60  # seconds


def is_first_of_hour(name: str) -> bool:
    """Whether nobody asked this of that name before within the hour, on any worker.

    Raises ServiceUnavailable where this machine cannot count.
    """
    hour = int(timezone.now().timestamp()) // HOUR
    try:
        return counters.of_requests().once(f"{name}:{hour}", 2 * HOUR)
    except sqlite3.Error as error:
        raise ServiceUnavailable from error
