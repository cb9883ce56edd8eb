"""The shortest way to PostgreSQL, for the hottest statements: prepared, and bound by the server.

Django writes a query's values into its text, so that the server parses and plans each anew; and
to take a connection from the pool, it makes all of its own ready for transactions. Here a pooled
connection is asked as it is, unless the thread holds one already.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.db import connection

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
