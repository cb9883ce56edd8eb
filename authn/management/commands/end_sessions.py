"""End sessions: a user's, or everybody's."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.models import User
from authn import sessions
from fluxiq import commands, ids
from fluxiq.serializers import StrictCharField, StrictSerializer


class Ending(StrictSerializer):
    """What the options have to be."""

    reason = StrictCharField(max_length=100)


class Command(commands.Command):
    """`end_sessions USER_ID [--reason T]`, or `end_sessions --all [--reason T]`."""

    help = (
        "End every session of a user, or with --all those of everybody, the staff console's too:"
        " they sign in again. API keys keep working."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user_id", metavar="USER_ID", nargs="?")
        parser.add_argument("--all", action="store_true", dest="everybody")
        parser.add_argument(
            "--reason", metavar="T", default="ended by a command", help="For the audit trail."
        )

    def perform(
        self, user_id: str | None, everybody: bool, reason: str, **options: Any
    ) -> dict[str, Any]:
        if (user_id is None) is not everybody:
            raise CommandError("name a user, or --all", returncode=commands.USAGE_ERROR)
        reason = commands.read(Ending, reason=reason)["reason"]
        if user_id is None:
            ended, at_the_console = sessions.end_everybodys(reason)
            return {"id": None, "ended": ended, "console_sessions_ended": at_the_console}
        user = commands.find(User.objects.all(), ids.Prefix.USER, user_id)
        return {"id": user.pk, "ended": sessions.sign_out(user, reason)}

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        if result["id"] is None:
            self.stdout.write(
                f"{result['ended']} sessions ended, and {result['console_sessions_ended']} of the"
                " staff console."
            )
        else:
            self.stdout.write(f"{result['id']}: {result['ended']} sessions ended.")
