"""Remove exported events of the audit trail that are old."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from fluxiq import commands, rings
from fluxiq.audit import retention


class Command(commands.Command):
    """`prune_audit_log --keep 400d [--yes]`."""

    help = (
        "Remove events that were exported so long ago or longer. On PostgreSQL it has to connect"
        f" as the role {retention.ROLE}."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--keep",
            metavar="400d",
            required=True,
            help="How long an event stays after its export: 400d, 24h; 0 for not at all.",
        )
        commands.ask_first(parser)

    def perform(self, keep: str, *, yes: bool, **options: Any) -> dict[str, int]:
        kept = commands.duration(keep, may_be_zero=True)
        count = retention.count(kept)
        if count:
            self.confirm(f"Remove {count} events of the audit trail, for good?", yes=yes)
        try:
            with commands.progress(count, "events") as step:
                return asdict(retention.prune(kept, step))
        except rings.InvalidRing as error:
            raise CommandError(str(error)) from error

    def tell(self, result: dict[str, int], **options: Any) -> None:
        self.stdout.write(
            f"Removed {result['events']} events. Nothing is left below position {result['below']}."
            if result["below"]
            else "Nothing was exported so long ago: nothing was removed."
        )
