"""Reset a lost second factor."""

from typing import Any

from django.core.management.base import CommandParser

from accounts.models import User
from authn.mfa import factors
from fluxiq import commands, ids
from fluxiq.serializers import StrictCharField, StrictSerializer


class Reset(StrictSerializer):
    """What the options have to be."""

    reason = StrictCharField(max_length=200)


class Command(commands.Command):
    """`reset_mfa USER_ID [--reason T] [--yes]`."""

    help = "Remove a user's lost second factor and end their sessions. None to remove is no error."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user_id", metavar="USER_ID")
        parser.add_argument(
            "--reason", metavar="T", default="reset by a command", help="For the audit trail."
        )
        commands.ask_first(parser)

    def perform(self, user_id: str, reason: str, *, yes: bool, **options: Any) -> dict[str, Any]:
        user = commands.find(User.objects.all(), ids.Prefix.USER, user_id)
        body = commands.read(Reset, reason=reason)
        question = f"Remove the second factor of {user.name} and end every session of theirs?"
        self.confirm(commands.one_line(question), yes=yes)
        return {"id": user.pk, "reset": factors.reset(user, **body)}

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        done = "their second factor is removed and every session of theirs ended"
        nothing = "there is no second factor to reset"
        self.stdout.write(f"{result['id']}: {done if result['reset'] else nothing}.")
