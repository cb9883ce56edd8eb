"""The commands of the audit trail."""

import io
import sys
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from django.core.management import CommandError, get_commands, load_command_class
from django.test import SimpleTestCase, override_settings

from authn.tests.commands import CommandTestCase
from fluxiq import commands
from fluxiq.audit import ring, sealing
from fluxiq.audit.management.commands.verify_audit_log import NOT_WHOLE
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.audit.tests.base import TrailTestCase


class TrailCommandTestCase(CommandTestCase, TrailTestCase):
    def setUp(self) -> None:
        super().setUp()
        directory = tempfile.TemporaryDirectory(prefix="fluxiq-audit-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        sealing.seal()

    def file(self, name: str) -> str:
        return str(self.directory / name)


class VerifyCommandTests(TrailCommandTestCase):
    def test_a_whole_trail_is_told_in_a_line(self) -> None:
        out, err = self.run_command("verify_audit_log")
        count = AuditEvent.objects.count()
        assert out == (
            f"{count} events are sound, from position 1 to {count}; 0 wait for their seal.\n"
        )
        assert err == ""

    def test_its_document_holds_the_head_and_the_counts(self) -> None:
        self.write(2)
        result = self.result("verify_audit_log")
        assert result["whole"] is True
        assert (result["waiting"], result["fault_count"], result["faults"]) == (2, 0, [])
        assert result["head"]["position"] == result["sound"]
        assert len(result["head"]["digest"]) == 64

    def test_a_fault_is_named_and_the_exit_code_tells(self) -> None:
        ids = self.sealed(2)
        self.tamper("UPDATE audit_auditevent SET actor_id = 'x' WHERE id = %s", ids[0])
        out = io.StringIO()
        with pytest.raises(CommandError) as ended, mock.patch("sys.stdout", out):
            self.run_command("verify_audit_log")
        position = AuditEvent.objects.count() - 1
        assert ended.value.returncode == NOT_WHOLE == 3
        assert f"1 faults, the first at position {position}: {ids[0]}: " in str(ended.value)

    def test_a_head_that_was_kept_is_compared_later(self) -> None:
        self.sealed(3)
        self.run_command("verify_audit_log", "--head", self.file("head"))
        self.run_command("verify_audit_log", "--expect", self.file("head"))
        self.sealed(1)
        self.run_command("verify_audit_log", "--expect", self.file("head"))
        last = AuditEvent.objects.count()
        for position in (last, last - 1):
            self.tamper(
                "DELETE FROM audit_auditevent WHERE id ="
                " (SELECT event_id FROM audit_seal WHERE position = %s)",
                position,
            )
            self.tamper("DELETE FROM audit_seal WHERE position = %s", position)
        self.run_command("verify_audit_log")
        assert "cut off" in self.refusal("verify_audit_log", "--expect", self.file("head"))

    def test_a_head_that_is_none_is_refused(self) -> None:
        for text in ("", "{}", "[]", '{"position": "x", "digest": ""}', "nonsense",
                     '{"position": 1, "digest": "xyz"}'):  # fmt: skip
            Path(self.file("head")).write_text(text)
            assert "holds no head" in self.refusal(
                "verify_audit_log", "--expect", self.file("head")
            ), text
        assert "No such file" in self.refusal("verify_audit_log", "--expect", self.file("none"))

    def test_a_ring_that_cannot_be_used_is_said(self) -> None:
        with override_settings(AUDIT_KEYS="a1:short"):
            assert "the secret of entry 1 has under 32 bytes" in self.refusal("verify_audit_log")


class ExportCommandTests(TrailCommandTestCase):
    def test_it_tells_what_it_wrote_and_the_file_verifies(self) -> None:
        count = AuditEvent.objects.count()
        done = self.result("export_audit_log", self.file("a"))
        assert (done["file"], done["events"], done["first"]) == (self.file("a"), count, 1)
        self.run_command("export_audit_log", self.file("b"))
        result = self.result("verify_audit_log", "--export", self.file("a"), self.file("b"))
        assert (result["whole"], result["sound"]) == (True, count + 1)
        files = ("--export", self.file("b"), self.file("a"))
        assert "does not follow" in self.refusal("verify_audit_log", *files)

    def test_it_is_told_in_the_trail(self) -> None:
        self.run_command("export_audit_log", self.file("a"))
        assert AuditEvent.objects.get(kind=Kind.TRAIL_EXPORTED).actor_kind == "command"

    def test_a_file_that_is_there_is_refused(self) -> None:
        self.run_command("export_audit_log", self.file("a"))
        assert "replaces nothing" in self.refusal("export_audit_log", self.file("a"))
        assert "No such file" in self.refusal("export_audit_log", self.file("no/such"))

    def test_a_file_that_is_no_export_is_refused(self) -> None:
        Path(self.file("x")).write_text("nonsense\n")
        assert "line 1 is no JSON" in self.refusal("verify_audit_log", "--export", self.file("x"))

    def test_an_export_is_verified_alone(self) -> None:
        files = ("--export", self.file("a"), "--head", self.file("h"))
        assert "--export stands alone" in self.refusal("verify_audit_log", *files)

    def test_with_nothing_new_no_file_is_made(self) -> None:
        # Every export is an event of its own, and so something new; before the first there is none.
        self.tamper("DELETE FROM audit_auditevent")
        self.tamper("DELETE FROM audit_seal")
        out, _ = self.run_command("export_audit_log", self.file("a"))
        assert "nothing new" in out
        assert list(self.directory.iterdir()) == []


class OtherCommandTests(TrailCommandTestCase):
    def test_what_waits_is_sealed_by_hand(self) -> None:
        self.write(3)
        assert self.result("seal_audit_log") == {"sealed": 3}
        assert self.run_command("seal_audit_log")[0] == "Sealed events: 0.\n"

    def test_a_new_key_is_an_entry_of_the_ring(self) -> None:
        made = self.result("make_audit_key", "--id", "2026")
        assert [key.id for key in ring.parse(f"{made['entry']},old:{'x' * 32}")] == ["2026", "old"]
        out, err = self.run_command("make_audit_key")
        assert len(out.splitlines()) == 1
        assert "AUDIT_KEYS" in err

    def test_a_name_that_cannot_stand_in_the_ring_is_refused(self) -> None:
        for name in ("", "a b", "a,b", "a:b", "x" * 33, "é"):
            assert "1 to 32" in self.refusal("make_audit_key", "--id", name), name

    def test_without_an_old_export_nothing_is_pruned(self) -> None:
        out, _ = self.run_command("prune_audit_log", "--keep", "400d")
        assert "nothing was removed" in out
        assert "is no duration" in self.refusal("prune_audit_log", "--keep", "soon")


class EveryCommandTests(SimpleTestCase):
    def test_every_command_of_the_trail_is_built_on_the_shared_base(self) -> None:
        ours = {name for name, app in get_commands().items() if app == "fluxiq.audit"}
        assert {"verify_audit_log", "export_audit_log", "prune_audit_log"} <= ours
        for name in ours:
            assert isinstance(load_command_class("fluxiq.audit", name), commands.Command), name


class Terminal(io.StringIO):
    """What takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


class ProgressTests(SimpleTestCase):
    def test_a_bar_is_drawn_on_a_terminal_alone(self) -> None:
        terminal = Terminal()
        with (
            mock.patch.object(sys, "stderr", terminal),
            commands.progress(10, "events") as step,
        ):
            step(10)
        assert "0/10" in terminal.getvalue()
        silent = io.StringIO()
        with mock.patch.object(sys, "stderr", silent), commands.progress(10, "events") as step:
            step(10)
        assert silent.getvalue() == ""
