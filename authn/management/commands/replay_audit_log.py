"""Do again, after a restore, what exports of the audit trail tell."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from authn import restoration
from authn.restoration import Replayed
from fluxiq import commands, rings
from fluxiq.audit.exported import UnreadableExport

LEFT_TO_A_PERSON = 3  # the exit code where something could not be done again


class Command(commands.Command):
    """`replay_audit_log FILE …`."""

    help = (
        "After a restore: end every session, and do again what these exports of the audit trail"
        " tell and the database does not hold. Run it before the service takes traffic. Exits with"
        " 3 where something is left to you."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "files", metavar="FILE", nargs="+", help="In their order, from before the backup on."
        )

    def perform(self, files: list[str], **options: Any) -> Replayed:
        try:
            return restoration.replay([Path(name) for name in files])
        except (OSError, UnreadableExport, rings.InvalidRing) as error:
            raise CommandError(str(error)) from error

    def document(self, result: Replayed) -> dict[str, Any]:
        return asdict(result)

    def tell(self, result: Replayed, **options: Any) -> None:
        self.stdout.write(
            f"{result.events} events that the database does not hold; {result.done_again} done"
            f" again. {result.sessions_ended} sessions ended, and"
            f" {result.console_sessions_ended} of the staff console."
        )
        for user_id in result.passwords_withdrawn:
            self.stdout.write(f"{user_id}: has to set a new password")
        for kind, object_ids in result.lost.items():
            for object_id in object_ids:
                self.stdout.write(f"{object_id}: made after the backup and lost ({kind})")
        for left in result.by_hand:
            self.stdout.write(
                commands.one_line(f"{left['object_id']}: by hand: {left['why']} ({left['kind']})")
            )

    def failure(self, result: Replayed) -> CommandError | None:
        if not result.by_hand:
            return None
        return CommandError(
            f"{len(result.by_hand)} events are left to you", returncode=LEFT_TO_A_PERSON
        )
