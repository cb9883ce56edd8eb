"""Check the audit chain."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from fluxiq import commands, rings
from fluxiq.audit import chain, exported, verification
from fluxiq.audit.chain import Fault
from fluxiq.audit.verification import Head, Report

NOT_WHOLE = 3  # the exit code of a trail that was tampered with; 1 is of one not checked at all


class Command(commands.Command):
    """`verify_audit_log [--head FILE] [--expect FILE] [--export FILE …]`."""

    help = (
        "Check every event of the audit trail against its seal. Exits with 0 where the trail is"
        " whole, 3 where it is not, 1 where it could not be checked."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--head", metavar="FILE", help="Write the end of the chain there, to compare later."
        )
        parser.add_argument(
            "--expect", metavar="FILE", help="A file of --head: the chain must still hold its end."
        )
        parser.add_argument(
            "--export",
            metavar="FILE",
            nargs="+",
            help="Check exported files, in their order, in place of the database.",
        )

    def perform(
        self, head: str | None, expect: str | None, export: list[str] | None, **options: Any
    ) -> Report:
        if export and (head or expect):
            raise CommandError("--export stands alone", returncode=commands.USAGE_ERROR)
        try:
            if export:
                return _exports([Path(name) for name in export])
            expected = _read_head(Path(expect)) if expect else None
            with commands.progress(chain.head()[0], "events") as step:
                report = verification.verify(expected, step)
            if head:
                Path(head).write_text(json.dumps(asdict(report.head)) + "\n", encoding="ascii")
        except (OSError, exported.UnreadableExport, rings.InvalidRing) as error:
            raise CommandError(str(error)) from error
        return report

    def document(self, result: Report) -> dict[str, Any]:
        return {"whole": not result.fault_count, **asdict(result)}

    def tell(self, result: Report, **options: Any) -> None:
        for fault in result.faults:
            self.stdout.write(_line(fault))
        if result.fault_count > len(result.faults):
            self.stdout.write(f"And {result.fault_count - len(result.faults)} more.")
        self.stdout.write(
            f"{result.sound} events are sound, from position {result.first} to"
            f" {result.head.position}; {result.waiting} wait for their seal."
        )

    def failure(self, result: Report) -> CommandError | None:
        if not result.fault_count:
            return None
        first = _line(result.faults[0])
        return CommandError(
            f"the trail is not whole: {result.fault_count} faults, the first at {first}",
            returncode=NOT_WHOLE,
        )


def _line(fault: Fault) -> str:
    where = "outside the chain" if fault.position is None else f"position {fault.position}"
    return commands.one_line(": ".join(filter(None, (where, fault.event_id, fault.what))))


def _read_head(path: Path) -> Head:
    try:
        values = json.loads(path.read_text(encoding="ascii"))
        head = Head(int(values["position"]), str(values["digest"]))
        bytes.fromhex(head.digest)
    except (KeyError, TypeError, ValueError) as error:
        raise CommandError(f"{path} holds no head that --head wrote") from error
    return head


def _exports(paths: list[Path]) -> Report:
    """One report over files that follow on each other."""
    whole: Report | None = None
    for path in paths:
        with path.open(encoding="ascii") as file, commands.progress(None, "events") as step:
            whole = exported.verify(file, whole, step)
    if whole is None:
        raise CommandError("no file was named")
    return whole
