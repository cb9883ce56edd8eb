"""The shortest way to PostgreSQL, for the hottest statements: prepared, and bound by the server.

Django writes a query's values into its text, so that the server parses and plans each anew; and
to take a connection from the pool, it makes all of its own ready for transactions. Here a pooled
connection is asked as it is, unless the thread holds one already.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

Rows = list[tuple[Any, ...]]
Values = Sequence[Any] | Mapping[str, Any]


def speaks_postgresql() -> bool:
    """Whether the database is one that `rows_of` can ask."""
    return connection.vendor == "postgresql"


def rows_of(query: str, values: Values) -> Rows:
    """The rows that a statement, whose text is a constant, finds or returns of what it changed.

    Committed at once, where no transaction is open. Raises Django's database errors.
    """
    django: Any = connection  # its PostgreSQL backend's own attributes are in no type
    if django.queries_logged:
        with django.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())
    with django.wrap_database_errors:
        if django.connection is None and django.pool is not None:
            taken = django.take()
            try:
                return _rows(taken, query, values)
            finally:
                django.pool.putconn(taken)
        django.ensure_connection()
        held: Any = django.connection
        return _rows(held, query, values)


def _rows(held: "psycopg.Connection[Any]", query: str, values: Values) -> Rows:
    with psycopg.Cursor(held) as cursor:
        rows: Rows = cursor.execute(query, values, prepare=True).fetchall()
    return rows


@contextmanager
def bounded(
    to: BaseDatabaseWrapper, *, lock_seconds: float, statement_seconds: float
) -> Iterator[None]:
    """Within it, statements on this connection give up by then; 0 is never. PostgreSQL alone.

    A session's settings: not for a pooler that hands the session on between transactions.
    """
    if to.vendor != "postgresql":
        yield
        return
    bounds = {"lock_timeout": lock_seconds, "statement_timeout": statement_seconds}
    with to.cursor() as cursor:
        for name, seconds in bounds.items():
            cursor.execute("SELECT set_config(%s, %s, false)", [name, f"{round(seconds * 1000)}ms"])
    try:
        yield
    finally:
        if not to.needs_rollback and to.connection is not None:
            with to.cursor() as cursor:
                for name in bounds:
                    cursor.execute(f"RESET {name}")
