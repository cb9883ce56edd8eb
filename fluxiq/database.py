"""The shortest way to PostgreSQL, for the hottest reads: prepared statements, bound by the server.

Django writes a query's values into its text, so that the server parses and plans each anew; and
to take a connection from the pool, it makes all of its own ready for transactions. Here a pooled
connection is asked as it is, unless the thread holds one already.
"""

from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import connection

Rows = list[tuple[Any, ...]]


def speaks_postgresql() -> bool:
    """Whether the database is one that `read` can ask."""
    return connection.vendor == "postgresql"


def read(query: str, values: Sequence[Any]) -> Rows:
    """The rows of a query whose text is a constant. Raises Django's database errors."""
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


def _rows(held: "psycopg.Connection[Any]", query: str, values: Sequence[Any]) -> Rows:
    with psycopg.Cursor(held) as cursor:
        rows: Rows = cursor.execute(query, values, prepare=True).fetchall()
    return rows
