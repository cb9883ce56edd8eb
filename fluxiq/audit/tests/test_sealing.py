"""Events are linked into one chain, in the order of sealing."""

from unittest import mock

from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from fluxiq import ids
from fluxiq.audit import chain, sealing
from fluxiq.audit.models import AuditEvent, Kind, PendingEvent, Seal, record
from fluxiq.audit.tests.base import TrailTestCase

NEW = "new:another-audit-key-of-the-tests-0123456789"


class SealingTests(TrailTestCase):
    def test_all_that_waits_is_sealed_oldest_first_in_many_batches(self) -> None:
        events = self.write(25)
        with mock.patch.object(sealing, "BATCH", 10):
            assert sealing.seal() == 25
        sealed = list(Seal.objects.order_by("position").values_list("position", "event_id"))
        assert sealed == list(enumerate(sorted(event.id for event in events), 1))
        assert not PendingEvent.objects.exists()
        report = self.verify()
        assert (report.sound, report.fault_count, report.waiting) == (25, 0, 0)
        assert (report.head.position, bytes.fromhex(report.head.digest)) == chain.head()

    def test_with_nothing_to_seal_nothing_is_done(self) -> None:
        assert sealing.seal() == 0
        self.sealed(2)
        with self.assertNumQueries(1):  # and so no lock is asked for
            assert sealing.seal() == 0
        assert Seal.objects.count() == 2

    def test_an_event_that_came_late_is_sealed_after_those_before_which_it_was_made(self) -> None:
        early = ids.new(ids.Prefix.EVENT)
        self.sealed(3)
        AuditEvent(id=early, kind=Kind.STAFF_ACTION, actor_kind="staff").save()
        assert sealing.seal() == 1
        assert Seal.objects.get(event_id=early).position == 4
        assert self.verify().sound == 4

    def test_a_seal_is_of_every_field_of_its_event(self) -> None:
        record(Kind.STAFF_ACTION, object_id="x", before={"é": [1, None]}, after={"b": {"a": "\n"}})
        sealing.seal()
        (link,) = chain.links(1, 1)
        assert link.event is not None
        assert set(link.event) == {field.attname for field in AuditEvent._meta.concrete_fields}
        message = link.message(chain.GENESIS)
        for value in (link.event["id"], "staff.action", '{"\\u00e9":[1,null]}', '{"a":"\\n"}'):
            assert value.encode() in message, message

    def test_the_newest_key_seals_and_the_older_ones_verify(self) -> None:
        self.sealed(2)
        old = "test-1:audit-key-of-the-tests-alone-0123456789"
        with override_settings(AUDIT_KEYS=f"{NEW},{old}"):
            self.sealed(2)
            assert self.verify().sound == 4
        assert list(Seal.objects.order_by("position").values_list("key_id", flat=True)) == [
            *("test-1", "test-1"),
            *("new", "new"),
        ]

    def test_whoever_comes_while_another_seals_leaves_it_to_them(self) -> None:
        self.write()
        with mock.patch.object(sealing, "_is_sole_writer", return_value=False):
            assert sealing.seal() == 0
        assert PendingEvent.objects.count() == 1
        assert sealing.seal() == 1

    def test_what_no_trigger_noted_keeps_nobody_waiting(self) -> None:
        sealed = self.sealed(1)
        self.sql("INSERT INTO audit_pendingevent VALUES (%s), (%s)", sealed[0], "evt_0")
        self.write(3)
        with mock.patch.object(sealing, "BATCH", 1):
            assert sealing.seal() == 3
        assert self.verify().sound == 4

    def test_it_costs_as_many_statements_for_many_as_for_one(self) -> None:
        counts = []
        for events in (1, 100):
            self.write(events)
            with CaptureQueriesContext(connection) as queries:
                sealing.seal()
            counts.append(len(queries))
        assert counts[0] == counts[1] < 12, counts
