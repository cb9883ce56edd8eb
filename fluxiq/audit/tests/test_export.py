"""Exports hold everything, end with a checkpoint, and can be verified by themselves."""

import io
from typing import Any

import pytest
from django.test import override_settings

from fluxiq.audit import chain, export, exported, sealing
from fluxiq.audit.models import AuditEvent, Checkpoint, Kind
from fluxiq.audit.tests.base import ExportTestCase
from fluxiq.errors import Conflict


class ExportTests(ExportTestCase):
    def test_it_holds_every_event_with_its_seal_and_ends_with_a_checkpoint(self) -> None:
        events = self.write(5)
        lines = self.export()
        assert lines[0] == {"begin": {"position": 1, "before": ""}}
        assert [line["position"] for line in lines[1:-1]] == [1, 2, 3, 4, 5]
        assert [line["event"]["id"] for line in lines[1:-1]] == sorted(e.id for e in events)
        assert lines[1]["event"]["after"] == {"number": 0}
        checkpoint = Checkpoint.objects.get()
        assert lines[-1]["checkpoint"]["digest"] == bytes(checkpoint.digest).hex()
        assert (checkpoint.position, bytes(checkpoint.digest)) == chain.head()
        assert AuditEvent.objects.get(kind=Kind.TRAIL_EXPORTED).after == {"first": 1, "position": 5}

    def test_the_next_one_begins_where_it_ended(self) -> None:
        self.write(3)
        first = self.export("first")
        self.write(2)
        second = self.export("second")
        # The event of the first export is among them.
        assert [line["position"] for line in second[1:-1]] == [4, 5, 6]
        assert second[0]["begin"]["before"] == first[-1]["checkpoint"]["digest"]
        report = self.read(second, self.read(first))
        assert (report.sound, report.fault_count, report.head.position) == (6, 0, 6)

    def test_all_can_be_exported_again(self) -> None:
        self.write(3)
        self.export("first")
        lines = self.export("again", everything=True)
        assert [line["position"] for line in lines[1:-1]] == [1, 2, 3, 4]
        assert self.read(lines).fault_count == 0

    def test_nothing_new_makes_no_file(self) -> None:
        done = export.export(self.directory / "a")
        assert (done.events, list(self.directory.iterdir())) == (0, [])
        assert not Checkpoint.objects.exists()

    def test_a_file_that_is_there_is_not_replaced(self) -> None:
        self.write()
        (self.directory / "a").write_text("mine")
        with pytest.raises(FileExistsError):
            self.export()
        assert (self.directory / "a").read_text() == "mine"
        assert len(list(self.directory.iterdir())) == 1
        assert not Checkpoint.objects.exists()

    def test_a_trail_that_is_not_whole_is_not_exported(self) -> None:
        ids = self.sealed(3)
        self.tamper("UPDATE audit_auditevent SET actor_id = 'x' WHERE id = %s", ids[1])
        with pytest.raises(Conflict, match="position 2"):
            self.export()
        assert list(self.directory.iterdir()) == []
        assert not Checkpoint.objects.exists()


class ExportedTests(ExportTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.write(4)
        self.lines = self.export()

    def found(self, lines: list[dict[str, Any]]) -> list[int | None]:
        return [fault.position for fault in self.read(lines).faults]

    def test_an_export_that_nobody_touched_is_whole(self) -> None:
        report = self.read(self.lines)
        assert (report.sound, report.fault_count, report.first) == (4, 0, 1)

    def test_a_changed_event_is_found(self) -> None:
        self.lines[2]["event"]["after"] = {"number": 7}
        assert self.found(self.lines) == [2]

    def test_a_line_that_is_missing_is_found(self) -> None:
        assert self.found([*self.lines[:2], *self.lines[3:]]) == [2]

    def test_lines_that_are_swapped_are_found(self) -> None:
        one, two = self.lines[2:4]
        one["event"], two["event"] = two["event"], one["event"]
        assert self.found(self.lines) == [2, 3]

    def test_an_end_that_is_cut_off_is_found(self) -> None:
        assert self.found(self.lines[:-1]) == [4]
        assert self.found([*self.lines[:-2], self.lines[-1]]) == [3]

    def test_another_beginning_is_found(self) -> None:
        self.lines[0]["begin"]["before"] = "00" * 32
        assert self.found(self.lines) == [1]

    def test_a_checkpoint_without_the_key_is_found(self) -> None:
        self.lines[-1]["checkpoint"]["exported_at"] = "2026-01-01T00:00:00.000000Z"
        assert self.found(self.lines) == [4]
        with override_settings(AUDIT_KEYS="other:" + "x" * 32):
            assert len(self.found(self.lines)) == 2

    def test_one_that_does_not_follow_on_the_one_before_is_found(self) -> None:
        self.write(2)
        second = self.export("second")
        self.write(2)
        third = self.export("third")
        assert self.read(third, self.read(self.lines)).fault_count == 1
        assert self.read(third, self.read(second, self.read(self.lines))).fault_count == 0

    def test_what_is_no_export_is_said_by_its_line(self) -> None:
        begin, link = self.lines[0], self.lines[1]
        unreadable: tuple[tuple[list[Any], str], ...] = (
            ([], "line 1 does not tell where it begins"),
            ([{}], "line 1 does"),
            ([{"begin": 1}], "line 1 does"),
            ([begin, {}], "line 2 is no link"),
            ([begin, link, {**link, "digest": "xyz"}], "line 3 is no link"),
            ([begin, {**link, "sealed_at": 1}], "line 2 is no link"),
            ([begin, {**link, "event": []}], "line 2 is no link"),
            ([begin, {"checkpoint": {}}], "line 2 is no link"),
        )
        for lines, why in unreadable:
            with pytest.raises(exported.UnreadableExport, match=why):
                self.read(lines)
        for text, why in (("nonsense", "is no JSON"), ("[]", "is no object")):
            with pytest.raises(exported.UnreadableExport, match=f"line 1 {why}"):
                exported.verify(io.StringIO(text))


class HeadTests(ExportTestCase):
    def test_a_chain_that_was_cut_off_below_a_checkpoint_is_found_without_a_head(self) -> None:
        self.write(4)
        self.export()
        sealing.seal()
        self.tamper(
            "DELETE FROM audit_auditevent WHERE id IN"
            " (SELECT event_id FROM audit_seal WHERE position >= 3)"
        )
        self.tamper("DELETE FROM audit_seal WHERE position >= 3")
        assert self.faults() == [(4, "")]
