"""The backend itself."""

from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
from django.db.backends.postgresql import base

from fluxiq.postgresql import patience
from fluxiq.postgresql.patience import PROBE_PATIENCE, breaker

Connection = psycopg.Connection[Any]


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, whose pool is left alone while the server is away."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """See Django. Raises psycopg.OperationalError."""
        ask = partial(super().get_new_connection, conn_params)
        return ask() if self.pool is None else self._from_pool(ask)

    def take(self) -> Connection:
        """A connection of the pool, for who puts it back. Raises psycopg.OperationalError."""
        self.pool.open()
        return self._from_pool(self.pool.getconn)

    def _from_pool(self, ask: Callable[[], Connection]) -> Connection:
        if breaker.is_open:
            return self._tried(ask)
        try:
            return ask()
        except psycopg.OperationalError as error:
            patience.lose(error)
            raise

    def _tried(self, ask: Callable[[], Connection]) -> Connection:
        """A connection over which the server was just heard, of one thread at a time."""
        with breaker.probe() as mine:
            if not mine:
                raise psycopg.OperationalError("the server is away, and left alone")
            try:
                taken = ask()
                try:
                    with patience.at_most(PROBE_PATIENCE):
                        taken.execute("SELECT 1")
                except BaseException:
                    self.pool.putconn(taken)
                    raise
            except psycopg.OperationalError as error:
                breaker.open(error)
                raise
            breaker.close()
            return taken
