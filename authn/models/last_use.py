"""When and whence many keys were last used, written at once."""

from collections.abc import Mapping
from datetime import datetime
from itertools import islice

from django.db import connection

from authn.models.api_key import ApiKey

BATCH = 500  # rows of one statement, which are locked while it runs: some milliseconds

# What somebody holds is skipped: nobody is waited for with the rows of others in hand.
_NOTE = """
    WITH uses (id, used_at, address) AS (
        SELECT * FROM unnest(%s::varchar[], %s::timestamptz[], %s::varchar[])
    ),
    free AS (
        SELECT id FROM {table} WHERE id IN (SELECT id FROM uses) FOR NO KEY UPDATE SKIP LOCKED
    ),
    noted AS (
        UPDATE {table} AS key SET last_used_at = uses.used_at, last_used_address = uses.address
        FROM uses JOIN free USING (id)
        WHERE key.id = uses.id AND (key.last_used_at IS NULL OR key.last_used_at < uses.used_at)
    )
    SELECT id FROM free
"""


def note(uses: Mapping[str, tuple[datetime, str]]) -> None:
    """Note when and whence each of these keys was last used, as `ApiKeyManager.note_use` does.

    On PostgreSQL in few statements, and one by one what somebody holds at that moment; on SQLite,
    where all writers take turns, one by one.
    """
    in_order = iter(sorted(uses))
    while batch := list(islice(in_order, BATCH)):
        noted = _note_at_once(batch, uses) if connection.vendor == "postgresql" else set()
        for api_key_id in batch:
            if api_key_id not in noted:
                ApiKey.objects.note_use(api_key_id, *uses[api_key_id])


def _note_at_once(api_key_ids: list[str], uses: Mapping[str, tuple[datetime, str]]) -> set[str]:
    """Note those that nobody holds; their ids."""
    moments, addresses = zip(*(uses[api_key_id] for api_key_id in api_key_ids), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            _NOTE.format(table=ApiKey._meta.db_table),
            [api_key_ids, list(moments), list(addresses)],
        )
        return {row[0] for row in cursor.fetchall()}
