"""Django's `migrate`, which on PostgreSQL waits for no lock for long, and tries again.

An ALTER TABLE that waits behind one long transaction has everybody who comes after it wait too,
readers also: the service would stand still until both are done. So it gives up soon, and everybody
goes on, before it tries again. Source: PostgreSQL, "Client Connection Defaults", lock_timeout.
"""

import time
from typing import Any

import psycopg
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connections

from fluxiq.database import bounded

LOCK_SECONDS = 1.0  # below what a request waits for an answer: fluxiq.postgresql.patience
ATTEMPTS = 10
PAUSE_SECONDS = 2.0


class Command(migrate.Command):
    """As Django's, with its options and three more."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--lock-timeout",
            type=float,
            default=LOCK_SECONDS,
            help="PostgreSQL: seconds that a statement waits for a lock; 0 waits for ever.",
        )
        parser.add_argument(
            "--statement-timeout",
            type=float,
            default=0.0,
            help="PostgreSQL: seconds that a statement may take; 0, the default, is any time: an"
            " index that is built concurrently takes long and holds nobody up.",
        )
        parser.add_argument(
            "--attempts",
            type=int,
            default=ATTEMPTS,
            help="How often to try where a lock was not had in time.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        lock, statement = options["lock_timeout"], options["statement_timeout"]
        if lock < 0 or statement < 0 or options["attempts"] < 1:
            raise CommandError("the time-outs must be 0 or more, and the attempts at least 1")
        left = options["attempts"]
        while True:
            try:
                with bounded(connection, lock_seconds=lock, statement_seconds=statement):
                    super().handle(*args, **options)
                    return
            except OperationalError as error:
                # What was applied before is committed; the one that waited left nothing behind.
                if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                    raise
                left -= 1
                if not left:
                    raise CommandError(
                        f"gave up: a lock was not had within {lock:g} s, {options['attempts']}"
                        " times. See who holds it in pg_stat_activity, and run this again"
                    ) from error
                self.stderr.write(f"A lock was not had within {lock:g} s: trying again")
                time.sleep(PAUSE_SECONDS)
