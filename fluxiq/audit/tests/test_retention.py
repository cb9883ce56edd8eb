"""What is old and was exported is removed: below a checkpoint, by who may, and by nobody else."""

from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import override_settings
from django.utils import timezone

from fluxiq.audit import chain, retention, sealing
from fluxiq.audit.models import AuditEvent, Checkpoint, Kind, Prune, Seal
from fluxiq.audit.tests.base import ExportTestCase
from fluxiq.errors import Conflict
from fluxiq.tests.trail import grants

DAY = timedelta(days=1)


class RetentionTestCase(ExportTestCase):
    """On PostgreSQL, as the role that may prune; on SQLite as anybody."""

    def setUp(self) -> None:
        super().setUp()
        if connection.vendor == "postgresql":
            make, grant = grants().split(";", 1)
            if not self.sql("SELECT FROM pg_roles WHERE rolname = %s", retention.ROLE):
                self.sql(make)
            self.sql(grant)

    def as_role(self, role: str = retention.ROLE) -> None:
        """Go on as that role until the test ends or another is named."""
        if connection.vendor == "postgresql":
            self.sql(f"SET LOCAL ROLE {role}")

    def prune(self, keep: timedelta = timedelta()) -> retention.Pruned:
        self.as_role()
        try:
            return retention.prune(keep)
        finally:
            self.as_role("none")


class RetentionTests(RetentionTestCase):
    def test_what_is_below_the_checkpoint_goes_and_the_rest_is_whole(self) -> None:
        ids = self.sealed(9)
        self.export()
        self.sealed(3)
        assert retention.count(timedelta()) == 8
        pruned = self.prune()
        assert (pruned.events, pruned.below) == (8, 9)
        assert not AuditEvent.objects.filter(pk__in=ids[:8]).exists()
        assert AuditEvent.objects.filter(pk=ids[8]).exists()
        report = self.verify()
        assert (report.first, report.sound, report.fault_count) == (9, 5, 0)

    def test_it_goes_on_after_pruning_and_is_told_in_the_trail(self) -> None:
        self.sealed(4)
        self.export()
        self.prune()
        assert AuditEvent.objects.get(kind=Kind.TRAIL_PRUNED).after == {"below": 4}
        self.sealed(3)
        lines = self.export("second")
        assert [line["position"] for line in lines[1:-1]] == [5, 6, 7, 8, 9]
        assert self.prune().events == 5
        report = self.verify()
        assert (report.first, report.fault_count) == (9, 0)
        assert Prune.objects.count() == 2

    def test_what_was_exported_lately_stays(self) -> None:
        self.sealed(4)
        self.export()
        assert self.prune(DAY) == retention.Pruned(0, 0)
        assert not Prune.objects.exists()
        with mock.patch("django.utils.timezone.now", return_value=timezone.now() + 2 * DAY):
            self.sealed(4)
            self.export("second")
            assert self.prune(DAY) == retention.Pruned(3, 4)
        assert self.verify().fault_count == 0

    def test_without_an_export_nothing_goes(self) -> None:
        self.sealed(4)
        assert self.prune() == retention.Pruned(0, 0)
        assert Seal.objects.count() == 4

    def test_one_that_was_interrupted_is_finished_and_meanwhile_all_is_whole(self) -> None:
        self.sealed(9)
        self.export()
        self.as_role()
        retention._allow(Checkpoint.objects.get())
        with mock.patch.object(retention, "BATCH", 3):
            assert retention._remove(9) == 3
        self.as_role("none")
        assert self.verify().fault_count == 0
        assert self.prune(DAY) == retention.Pruned(5, 9)
        assert self.verify().fault_count == 0

    def test_what_follows_a_prune_is_verified_from_the_checkpoint_on(self) -> None:
        ids = self.sealed(5)
        self.export()
        self.prune()
        self.tamper("UPDATE audit_auditevent SET actor_id = 'x' WHERE id = %s", ids[4])
        assert self.faults() == [(5, ids[4])]

    def test_rows_that_are_removed_without_leave_are_found(self) -> None:
        self.sealed(5)
        self.export()
        self.tamper(
            "DELETE FROM audit_auditevent WHERE id IN"
            " (SELECT event_id FROM audit_seal WHERE position < 5)"
        )
        self.tamper("DELETE FROM audit_seal WHERE position < 5")
        (fault,) = self.verify().faults
        assert (fault.position, fault.what) == (1, "the seals up to position 4 are gone")

    def test_a_leave_that_was_forged_does_not_count(self) -> None:
        self.sealed(5)
        self.export()
        forged = Prune(
            checkpoint=Checkpoint.objects.get(), at=timezone.now(), key_id="test-1", mac=b"x" * 32
        )
        forged.save()
        self.as_role()
        retention._remove(5)
        self.as_role("none")
        assert [fault.position for fault in self.verify().faults] == [1, 5]

    def test_a_checkpoint_that_was_forged_gives_no_leave(self) -> None:
        self.sealed(5)
        position, digest = chain.head()
        Checkpoint(
            position=position,
            before=digest,
            digest=digest,
            exported_at=timezone.now(),
            key_id="test-1",
            mac=b"x" * 32,
        ).save()
        with pytest.raises(Conflict):
            self.prune()
        assert Seal.objects.count() == 5

    def test_a_key_that_was_taken_out_takes_the_leave_with_it(self) -> None:
        self.sealed(5)
        self.export()
        self.prune()
        with override_settings(AUDIT_KEYS="other:" + "x" * 32):
            assert self.verify().fault_count >= 2

    def assert_refused(self, statement: str, *parameters: Any) -> None:
        with pytest.raises(IntegrityError, match="only ever added to"), transaction.atomic():
            self.sql(statement, *parameters)

    def test_at_and_above_the_checkpoint_nothing_goes(self) -> None:
        self.sealed(5)
        self.export()
        later = self.sealed(2)
        self.prune()
        waiting = self.write()[0]
        self.as_role()
        for event_id in (*later, waiting.id):
            self.assert_refused("DELETE FROM audit_auditevent WHERE id = %s", event_id)
        for position in (5, 6, 7):
            self.assert_refused("DELETE FROM audit_seal WHERE position = %s", position)
        self.as_role("none")
        assert self.verify().fault_count == 0


class RoleTests(RetentionTestCase):
    """Who may do what, on PostgreSQL."""

    def setUp(self) -> None:
        if connection.vendor != "postgresql":
            self.skipTest("SQLite has no roles")
        super().setUp()
        self.sealed(5)
        self.export()

    def assert_denied(self, statement: str, why: str = "permission denied") -> None:
        with pytest.raises(Exception, match=why), transaction.atomic():
            self.sql(statement)

    def test_nobody_else_prunes_not_even_who_owns_the_tables(self) -> None:
        with pytest.raises(IntegrityError, match="only ever added to"), transaction.atomic():
            retention.prune(timedelta())
        assert Seal.objects.filter(position__lte=5).count() == 5

    def test_the_role_makes_no_checkpoint_and_changes_no_event(self) -> None:
        self.as_role()
        self.assert_denied("INSERT INTO audit_checkpoint SELECT 9, before, digest, exported_at,"
                           " key_id, mac FROM audit_checkpoint")  # fmt: skip
        self.assert_denied("UPDATE audit_auditevent SET actor_id = 'x'")
        self.assert_denied("UPDATE audit_seal SET key_id = 'x'")
        self.assert_denied("INSERT INTO audit_seal SELECT 9, 'x', key_id, sealed_at, digest"
                           " FROM audit_seal LIMIT 1")  # fmt: skip
        self.assert_denied("TRUNCATE audit_auditevent")
        self.assert_denied("DELETE FROM audit_prune")
        self.assert_denied("SELECT document FROM accounts_user")
        self.assert_denied("ALTER TABLE audit_seal DISABLE TRIGGER ALL", "must be owner")

    def test_it_gives_itself_no_leave_above_a_checkpoint(self) -> None:
        sealing.seal()
        self.as_role()
        self.sql("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(IntegrityError), transaction.atomic():
            self.sql("INSERT INTO audit_prune VALUES (6, now(), 'test-1', 'x')")

    def test_a_table_of_its_own_in_the_way_does_not_lead_the_triggers_astray(self) -> None:
        self.as_role()
        self.sql("CREATE TEMPORARY TABLE audit_prune AS SELECT 1000::bigint AS checkpoint_id")
        with pytest.raises(IntegrityError, match="only ever added to"), transaction.atomic():
            self.sql("DELETE FROM public.audit_seal")
