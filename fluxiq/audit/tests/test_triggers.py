"""The database itself refuses to change or remove what is only added to."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import TransactionTestCase
from django.utils import timezone

from fluxiq.audit.models import AuditEvent, Checkpoint, PendingEvent, Prune, Seal
from fluxiq.audit.tests.base import TrailTestCase
from fluxiq.tests.trail import TABLES

REFUSED = "only ever added to"


class TriggerTests(TrailTestCase):
    def setUp(self) -> None:
        self.ids = self.sealed(3)
        values = {"key_id": "k", "mac": b"m" * 32}
        # Of the first position: it lets nothing go.
        checkpoint = Checkpoint(
            position=1, before=b"", digest=b"d" * 32, exported_at=timezone.now(), **values
        )
        checkpoint.save()
        Prune(checkpoint=checkpoint, at=timezone.now(), **values).save()
        if connection.vendor == "postgresql":
            self.sql("SET CONSTRAINTS ALL IMMEDIATE")  # none is left to be checked by TRUNCATE
        self.rows = self.all_rows()

    def all_rows(self) -> list[tuple[object, ...]]:
        return [row for table in TABLES for row in self.sql(f"SELECT * FROM {table} ORDER BY 1")]

    def assert_refused(self, statement: str, *parameters: object, why: str = REFUSED) -> None:
        with pytest.raises(IntegrityError, match=why), transaction.atomic():
            self.sql(statement, *parameters)
        assert self.all_rows() == self.rows, statement

    def test_no_row_is_updated(self) -> None:
        for statement in (
            "UPDATE audit_auditevent SET actor_id = 'usr_x'",
            "UPDATE audit_auditevent SET actor_id = actor_id",
            "UPDATE audit_seal SET digest = digest",
            "UPDATE audit_seal SET position = position + 10",
            "UPDATE audit_checkpoint SET position = 1000",
            "UPDATE audit_prune SET key_id = 'x'",
        ):
            self.assert_refused(statement)

    def test_no_row_is_deleted(self) -> None:
        for table in TABLES:
            self.assert_refused(f"DELETE FROM {table}")
        self.assert_refused("DELETE FROM audit_auditevent WHERE id = %s", self.ids[0])

    def test_an_event_that_waits_for_its_seal_is_not_deleted(self) -> None:
        event = self.write()[0]
        self.rows = self.all_rows()
        self.assert_refused("DELETE FROM audit_auditevent WHERE id = %s", event.id)

    def test_no_row_is_overwritten_by_an_insert(self) -> None:
        insert = "INSERT INTO audit_seal (position, event_id, key_id, sealed_at, digest)"
        values = "SELECT position, event_id, 'x', sealed_at, digest FROM audit_seal"
        update = "ON CONFLICT (position) DO UPDATE SET key_id = 'x'"
        self.assert_refused(
            f"{insert} {values} WHERE true {update}", why=f"{REFUSED}|UNIQUE constraint"
        )

    def test_the_tables_are_not_emptied(self) -> None:
        if connection.vendor != "postgresql":
            self.skipTest("SQLite has no TRUNCATE")
        for table in TABLES:
            self.assert_refused(f"TRUNCATE {table} CASCADE")

    def test_a_session_that_calls_itself_a_replica_is_refused_too(self) -> None:
        if connection.vendor != "postgresql":
            self.skipTest("SQLite has no replicas")
        self.sql("SET LOCAL session_replication_role = replica")
        self.assert_refused("DELETE FROM audit_auditevent")
        self.assert_refused("UPDATE audit_seal SET key_id = 'x'")

    def test_no_row_is_replaced(self) -> None:
        if connection.vendor != "sqlite":
            self.skipTest("only SQLite replaces rows")
        why = "UNIQUE constraint failed"
        self.assert_refused(
            "INSERT OR REPLACE INTO audit_auditevent SELECT * FROM audit_auditevent", why=why
        )
        self.assert_refused("REPLACE INTO audit_seal SELECT * FROM audit_seal", why=why)
        self.assert_refused(
            "REPLACE INTO audit_seal SELECT position + 10, event_id, key_id, sealed_at, digest"
            " FROM audit_seal",
            why=why,
        )
        self.assert_refused("REPLACE INTO audit_checkpoint SELECT * FROM audit_checkpoint", why=why)

    def test_each_event_is_noted_as_one_to_seal_with_whatever_wrote_it(self) -> None:
        assert not PendingEvent.objects.exists()
        events = self.write(2)
        AuditEvent.objects.bulk_create([AuditEvent(kind="staff.action", actor_kind="staff")])
        assert PendingEvent.objects.count() == 3
        with transaction.atomic():
            self.write()
            transaction.set_rollback(True)
        assert PendingEvent.objects.count() == 3
        assert {event.id for event in events} < set(
            PendingEvent.objects.values_list("pk", flat=True)
        )


class FlushTests(TransactionTestCase):
    """A test that commits is cleaned up after, and the triggers stand again."""

    def test_one_that_writes_to_the_trail(self) -> None:
        AuditEvent(kind="staff.action", actor_kind="staff").save()
        assert AuditEvent.objects.count() == 1

    def test_another_finds_no_trace_and_the_triggers_as_they_were(self) -> None:
        assert not AuditEvent.objects.exists()
        assert not Seal.objects.exists()
        AuditEvent(
            kind="staff.action", actor_kind="staff", at=timezone.now() - timedelta(days=1)
        ).save()
        with connection.cursor() as cursor:
            for statement in (
                "DELETE FROM audit_auditevent",
                "UPDATE audit_auditevent SET at = at",
            ):
                with pytest.raises(IntegrityError, match=REFUSED), transaction.atomic():
                    cursor.execute(statement)
