"""Whether SQLite takes writes: where its disk is full, reads go on and tell nothing of it.

A write that failed is noted among the counters, which all workers of the machine share. Whoever
asks soon after tries a small one, and what fails is noted anew. One that succeeds tells less: there
may be room for it, and none for more.
"""

import logging
import sqlite3

from django.db import OperationalError, connection

from fluxiq import counters

logger = logging.getLogger(__name__)

_REFUSED = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)
_NOTE = "database-refuses-writes"
_NOTED_SECONDS = 30  # longer than a balancer waits between two questions


def note(error: Exception) -> None:
    """Note this error, if it is that of a write which SQLite could not do for want of its disk."""
    if not _is_refusal(error):
        return
    try:
        counters.of_requests().set(_NOTE, 1, _NOTED_SECONDS)
    except sqlite3.Error as unusable:  # /readyz is 503 for that
        logger.error("a refused write was not noted: %s", unusable)


def are_refused() -> bool:
    """Whether a write failed in the last half minute. Raises sqlite3.Error where nothing can be
    noted, and Django's OperationalError as the database does otherwise."""
    if connection.vendor != "sqlite" or not counters.of_requests().get(_NOTE):
        return False
    try:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA user_version")
            (version,) = cursor.fetchone()
            cursor.execute(f"PRAGMA user_version = {version:d}")  # written though it is the same
    except OperationalError as error:
        if not _is_refusal(error):
            raise
        note(error)
    return True


def _is_refusal(error: Exception) -> bool:
    code: int = getattr(error.__cause__, "sqlite_errorcode", 0)
    return code & 0xFF in _REFUSED
