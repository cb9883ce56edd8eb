"""Whether SQLite takes writes: where its disk is full, reads go on and tell nothing of it.

A write that failed is noted among the counters, which all workers of the machine share. Whoever is
asked afterwards tries a write, until one succeeds.
"""

import logging
import sqlite3

from django.db import OperationalError, connection

from fluxiq import counters

logger = logging.getLogger(__name__)

_REFUSED = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)
_NOTE = "database-refuses-writes"
_NOTED_SECONDS = 24 * 60 * 60  # none need fail anew for as long: a note is dropped by a success


def note(error: Exception) -> None:
    """Note this error, if it is that of a write which SQLite could not do for want of its disk."""
    if not _is_refusal(error):
        return
    try:
        counters.of_requests().set(_NOTE, 1, _NOTED_SECONDS)
    except sqlite3.Error as unusable:  # /readyz is 503 for that
        logger.error("a refused write was not noted: %s", unusable)


def are_refused() -> bool:
    """Whether a write failed and still does. Raises sqlite3.Error where nothing can be noted, and
    Django's OperationalError as the database does otherwise."""
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
        return True
    counters.of_requests().delete(_NOTE)
    return False


def _is_refusal(error: Exception) -> bool:
    code: int = getattr(error.__cause__, "sqlite_errorcode", 0)
    return code & 0xFF in _REFUSED
