"""`migrate`: a lock that is not had is tried for again, a fault of another kind is not."""

import io
from typing import Any
from unittest import mock

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.core.management.commands import migrate as django_migrate
from django.db import OperationalError

from authn.tests.commands import CommandTestCase


def lock_not_had() -> OperationalError:
    """What Django raises where PostgreSQL's `lock_timeout` ran out."""
    error = OperationalError("canceling statement due to lock timeout")
    error.__cause__ = psycopg.errors.LockNotAvailable()
    return error


class MigrateTests(CommandTestCase):
    def migrate(self, *ends: Any, **options: Any) -> tuple[int, list[Any], str]:
        """Migrations that end like this, in turn: how many began, the pauses, what was told."""
        told = io.StringIO()
        with (
            mock.patch.object(django_migrate.Command, "handle", side_effect=ends) as begun,
            mock.patch("authn.management.commands.migrate.time.sleep") as sleep,
        ):
            try:
                call_command("migrate", stderr=told, **options)
            finally:
                self.begun = begun.call_count
        return self.begun, [call.args for call in sleep.call_args_list], told.getvalue()

    def test_what_needs_no_waiting_is_done_once(self) -> None:
        assert self.migrate(None) == (1, [], "")

    def test_a_lock_that_is_not_had_is_tried_for_again(self) -> None:
        line = "A lock was not had within 1 s: trying again\n"
        assert self.migrate(lock_not_had(), lock_not_had(), None) == (3, [(2.0,)] * 2, line * 2)

    def test_it_gives_up_after_so_many_attempts(self) -> None:
        with pytest.raises(CommandError, match=r"^gave up: a lock was not had within 5 s, 2 times"):
            self.migrate(lock_not_had(), lock_not_had(), attempts=2, lock_timeout=5.0)
        assert self.begun == 2

    def test_another_fault_is_not_tried_again(self) -> None:
        with pytest.raises(OperationalError, match="disk is full"):
            self.migrate(OperationalError("disk is full"))
        assert self.begun == 1

    def test_bounds_that_are_none_are_refused(self) -> None:
        for options in ({"lock_timeout": -1.0}, {"statement_timeout": -1.0}, {"attempts": 0}):
            with pytest.raises(CommandError, match="must be 0 or more"):
                self.migrate(**options)
            assert self.begun == 0
