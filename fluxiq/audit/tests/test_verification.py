"""Whatever is done to the trail past the service is found, and its place is named."""

from unittest import mock

from django.test import override_settings

from fluxiq.audit import chain, sealing
from fluxiq.audit.models import Seal
from fluxiq.audit.tests.base import TrailTestCase
from fluxiq.audit.verification import Head

EDITS = {
    "kind": "session.ended",
    "at": "2026-01-01 00:00:00+00:00",
    "actor_kind": "user",
    "actor_id": "usr_x",
    "merchant_id": "mer_x",
    "object_id": "y",
    "address": "203.0.113.9",
    "user_agent": "another",
    "request_id": "req_x",
    "before": '{"a": 1}',
    "after": '{"number": "2"}',
}


class VerificationTests(TrailTestCase):
    def setUp(self) -> None:
        self.ids = self.sealed(9)

    def test_a_trail_that_nobody_touched_is_whole(self) -> None:
        self.write(2)
        report = self.verify()
        assert (report.sound, report.waiting, report.fault_count) == (9, 2, 0)
        assert (report.first, report.head.position) == (1, 9)

    def test_an_empty_trail_is_whole(self) -> None:
        with mock.patch.object(chain, "CHUNK", 2):
            self.tamper("DELETE FROM audit_auditevent")
            self.tamper("DELETE FROM audit_seal")
            report = self.verify()
        assert (report.sound, report.fault_count, report.head) == (0, 0, Head(0, ""))

    def test_a_change_of_any_field_is_found_at_its_position_alone(self) -> None:
        for number, (column, value) in enumerate(EDITS.items()):
            position = number % 9
            event_id = self.ids[position]
            rows = self.sql(f"SELECT {column} FROM audit_auditevent WHERE id = %s", event_id)
            change = f"UPDATE audit_auditevent SET {column} = %s WHERE id = %s"
            self.tamper(change, value, event_id)
            assert self.faults() == [(position + 1, event_id)], column
            self.tamper(change, rows[0][0], event_id)
            assert self.faults() == [], column

    def test_an_event_that_is_deleted_is_found(self) -> None:
        self.tamper("DELETE FROM audit_auditevent WHERE id = %s", self.ids[3])
        assert self.faults() == [(4, self.ids[3])]
        assert self.verify().sound == 8

    def test_an_event_that_is_deleted_with_its_seal_is_found(self) -> None:
        for position, event_id in ((1, self.ids[0]), (5, self.ids[4])):
            self.tamper("DELETE FROM audit_auditevent WHERE id = %s", event_id)
            self.tamper("DELETE FROM audit_seal WHERE position = %s", position)
        report = self.verify()
        assert [fault.position for fault in report.faults] == [1, 5]
        assert [fault.what for fault in report.faults] == ["the seal is gone"] * 2

    def test_many_that_are_deleted_are_told_as_one_gap(self) -> None:
        self.tamper("DELETE FROM audit_auditevent WHERE id IN (%s, %s, %s)", *self.ids[2:5])
        self.tamper("DELETE FROM audit_seal WHERE position BETWEEN 3 AND 5")
        (fault,) = self.verify().faults
        assert (fault.position, fault.what) == (3, "the seals up to position 5 are gone")

    def test_a_gap_that_was_closed_by_moving_the_rest_up_is_found(self) -> None:
        self.tamper("DELETE FROM audit_auditevent WHERE id = %s", self.ids[8])
        self.tamper("DELETE FROM audit_seal WHERE position = 9")
        self.tamper("UPDATE audit_seal SET position = 20 WHERE position = 3")
        self.tamper("UPDATE audit_seal SET position = position - 1 WHERE position IN (4)")
        assert (3, self.ids[3]) in self.faults()

    def test_two_events_that_are_swapped_are_found(self) -> None:
        self.tamper("UPDATE audit_seal SET event_id = 'x' WHERE position = 2")
        self.tamper("UPDATE audit_seal SET event_id = %s WHERE position = 7", self.ids[1])
        self.tamper("UPDATE audit_seal SET event_id = %s WHERE position = 2", self.ids[6])
        assert self.faults() == [(2, self.ids[6]), (7, self.ids[1])]

    def test_two_seals_that_are_swapped_are_found(self) -> None:
        for old, new in ((2, 100), (3, 2), (100, 3)):
            self.tamper("UPDATE audit_seal SET position = %s WHERE position = %s", new, old)
        assert {2, 3} <= {position for position, _ in self.faults()}

    def test_what_two_events_hold_cannot_be_exchanged(self) -> None:
        for event, other in ((1, 2), (2, 1)):
            self.tamper(
                "UPDATE audit_auditevent SET after = %s WHERE id = %s",
                f'{{"number": {other - 1}}}',
                self.ids[event - 1],
            )
        assert self.faults() == [(1, self.ids[0]), (2, self.ids[1])]

    def test_an_event_that_is_put_in_without_being_noted_is_found(self) -> None:
        event_id = self.put_in()
        assert self.faults() == [(None, event_id)]

    def test_an_event_whose_seal_is_gone_is_found_at_the_end_too(self) -> None:
        self.tamper("DELETE FROM audit_seal WHERE position = 9")
        assert self.faults() == [(None, self.ids[8])]

    def test_an_event_that_is_deleted_before_it_was_sealed_is_found(self) -> None:
        event = self.write()[0]
        self.tamper("DELETE FROM audit_auditevent WHERE id = %s", event.id)
        assert self.faults() == [(None, event.id)]
        assert sealing.seal() == 0  # and stays found
        assert self.faults() == [(None, event.id)]

    def cut_off(self, position: int) -> None:
        """Remove everything from that position on, with its seals."""
        self.tamper(
            "DELETE FROM audit_auditevent WHERE id IN"
            " (SELECT event_id FROM audit_seal WHERE position >= %s)",
            position,
        )
        self.tamper("DELETE FROM audit_seal WHERE position >= %s", position)

    def test_an_end_that_is_cut_off_is_told_by_the_head_that_was_kept(self) -> None:
        head = self.verify().head
        assert self.faults(head) == []
        self.cut_off(7)
        assert self.faults() == []
        (fault,) = self.verify(head).faults
        assert (fault.position, "cut off at 6" in fault.what) == (9, True)

    def test_an_end_that_was_made_anew_is_told_by_the_head_that_was_kept(self) -> None:
        head = self.verify().head
        self.cut_off(9)
        self.sealed(3)
        assert self.faults() == []
        (fault,) = self.verify(head).faults
        assert (fault.position, "made anew" in fault.what) == (9, True)

    def test_an_older_link_that_is_put_back_under_a_newer_one_is_found(self) -> None:
        ((event_id, key_id, sealed_at, digest),) = self.sql(
            "SELECT event_id, key_id, sealed_at, digest FROM audit_seal WHERE position = 9"
        )
        self.tamper("DELETE FROM audit_seal WHERE position = 9")
        ninth, tenth = self.sealed(2)
        self.tamper("DELETE FROM audit_seal WHERE position = 9")
        self.tamper(
            "INSERT INTO audit_seal (position, event_id, key_id, sealed_at, digest)"
            " VALUES (9, %s, %s, %s, %s)",
            *(event_id, key_id, sealed_at, digest),
        )
        assert self.faults() == [(10, tenth), (None, ninth)]

    def test_a_trail_that_went_on_still_holds_the_head_that_was_kept(self) -> None:
        head = self.verify().head
        self.sealed(3)
        assert self.faults(head) == []
        assert self.faults(Head(0, "")) == []

    def test_a_seal_without_the_key_is_found(self) -> None:
        event_id = self.put_in()
        _, digest = chain.head()
        self.tamper(
            "INSERT INTO audit_seal SELECT 10, %s, key_id, sealed_at, digest FROM audit_seal"
            " WHERE position = 9",
            event_id,
        )
        assert self.faults() == [(10, event_id)]
        self.tamper("UPDATE audit_seal SET digest = %s WHERE position = 10", digest[::-1])
        assert self.faults() == [(10, event_id)]

    def test_another_key_id_or_moment_on_a_seal_is_found(self) -> None:
        ring = "test-1:audit-key-of-the-tests-alone-0123456789,test-2:" + "x" * 32
        with override_settings(AUDIT_KEYS=ring):
            self.tamper("UPDATE audit_seal SET key_id = 'test-2' WHERE position = 4")
            assert self.faults() == [(4, self.ids[3])]
        self.tamper("UPDATE audit_seal SET key_id = 'test-1' WHERE position = 4")
        self.tamper("UPDATE audit_seal SET sealed_at = '2026-01-01 00:00:00' WHERE position = 6")
        assert self.faults() == [(6, self.ids[5])]

    def test_a_key_that_is_not_in_the_ring_is_named_once(self) -> None:
        with override_settings(AUDIT_KEYS="other:" + "x" * 32):
            self.sealed(2)
            report = self.verify()
        assert report.sound == 2
        (fault,) = report.faults
        assert fault.position == 1
        assert "the key test-1, which is not in AUDIT_KEYS" in fault.what

    def test_a_secret_that_changed_under_the_same_id_is_found_everywhere(self) -> None:
        with override_settings(AUDIT_KEYS="test-1:" + "x" * 32):
            assert self.verify().fault_count == 9

    def test_all_faults_are_counted_and_the_first_told(self) -> None:
        with mock.patch("fluxiq.audit.verification.MAX_FAULTS", 4):
            self.tamper("UPDATE audit_auditevent SET actor_id = 'usr_x'")
            report = self.verify()
        assert (report.fault_count, len(report.faults), report.sound) == (9, 4, 0)

    def test_it_reads_chunk_by_chunk(self) -> None:
        with mock.patch.object(chain, "CHUNK", 4):
            with self.assertNumQueries(14):
                report = self.verify()
            self.tamper("UPDATE audit_auditevent SET actor_id = 'x' WHERE id = %s", self.ids[4])
            assert self.faults() == [(5, self.ids[4])]
        assert report.sound == Seal.objects.count() == 9
