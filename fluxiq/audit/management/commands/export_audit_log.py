"""Export the audit trail."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from fluxiq import commands, rings
from fluxiq.audit import export


class Command(commands.Command):
    """`export_audit_log FILE [--all]`."""

    help = (
        "Write the events since the last export to a new file, as JSON lines that end with a"
        " checkpoint of the chain."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="It must not be there yet.")
        parser.add_argument(
            "--all", action="store_true", dest="everything", help="Not only what is new: all."
        )

    def perform(self, file: str, everything: bool, **options: Any) -> dict[str, Any]:
        try:
            with commands.progress(export.count(everything=everything), "events") as step:
                exported = export.export(Path(file), everything=everything, step=step)
        except FileExistsError as error:
            raise CommandError(f"{file} is there already; an export replaces nothing") from error
        except (OSError, rings.InvalidRing) as error:
            raise CommandError(str(error)) from error
        return {"file": file if exported.events else None, **asdict(exported)}

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        if result["file"] is None:
            self.stdout.write("There is nothing new to export; no file was made.")
        else:
            self.stdout.write(
                f"Exported {result['events']} events, positions {result['first']} to"
                f" {result['position']}, to {result['file']}."
            )
