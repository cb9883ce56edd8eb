"""The compare-and-swap of a session's refresh token: the successor made, the session pointed at it,
and the token that it retires blacklisted, or nothing at all.

On PostgreSQL in one statement: as four, with a transaction around them, they take as long as all
else that a refresh does. SQLite changes one table by a statement, and is in the process.
"""

from datetime import datetime

from django.db import transaction
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from authn.models import Session
from fluxiq import database

# The lock is waited for before anything is written: who comes second finds another token, and so
# no row.
_SWAP = f"""
WITH held AS (
    SELECT id FROM {Session._meta.db_table}
    WHERE id = %(session)s AND current_id = %(retired)s AND ended_at IS NULL
    FOR UPDATE
), successor AS (
    INSERT INTO {OutstandingToken._meta.db_table} (user_id, jti, token, created_at, expires_at)
    SELECT %(user)s, %(jti)s, %(token)s, %(issued_at)s, %(expires_at)s FROM held
    RETURNING id
), swapped AS (
    UPDATE {Session._meta.db_table} AS session
    SET current_id = successor.id, retired_jti = %(retired_jti)s, rotated_at = %(now)s,
        last_used_at = %(now)s, expires_at = %(expires_at)s
    FROM held, successor
    WHERE session.id = held.id
    RETURNING session.id
)
INSERT INTO {BlacklistedToken._meta.db_table} (token_id, blacklisted_at)
SELECT %(retired)s, %(now)s FROM swapped
RETURNING token_id
"""  # noqa: S608 - the names are the models' own


def swap(
    session_id: str, retired: OutstandingToken, successor: OutstandingToken, now: datetime
) -> bool:
    """Whether this call put `successor`, not saved yet, in the place of `retired`.

    False, and nothing changed, where the session is over or points at another token by now.
    """
    if database.speaks_postgresql():
        return _swap_at_once(session_id, retired, successor, now)
    return _swap(session_id, retired, successor, now)


def _swap_at_once(
    session_id: str, retired: OutstandingToken, successor: OutstandingToken, now: datetime
) -> bool:
    values = {
        "session": session_id,
        "retired": retired.pk,
        "retired_jti": retired.jti,
        "user": successor.user_id,
        "jti": successor.jti,
        "token": successor.token,
        "issued_at": successor.created_at,
        "expires_at": successor.expires_at,
        "now": now,
    }
    return bool(database.rows_of(_SWAP, values))


def _swap(
    session_id: str, retired: OutstandingToken, successor: OutstandingToken, now: datetime
) -> bool:
    with transaction.atomic():
        successor.save(force_insert=True)
        swapped = Session.objects.filter(
            pk=session_id, current=retired, ended_at__isnull=True
        ).update(
            current=successor,
            retired_jti=retired.jti,
            rotated_at=now,
            last_used_at=now,
            expires_at=successor.expires_at,
        )
        if not swapped:
            transaction.set_rollback(True)
            return False
        BlacklistedToken.objects.create(token=retired)
    return True
