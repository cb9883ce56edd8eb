"""Set a user's password."""

from typing import Any

from django.core.management.base import CommandParser

from accounts.models import User
from authn import passwords
from authn.management import given_password
from authn.serializers import NewPassword
from fluxiq import commands, ids


class Command(commands.Command):
    """`changepassword DOCUMENT_OR_USER_ID [--password-stdin]`.

    In the place of Django's command of that name, which ends no session and leaves no event.
    """

    help = "Set a user's password. Every session of theirs ends, the staff console's too."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("person", metavar="DOCUMENT_OR_USER_ID")
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help="Read the password from standard input, exactly, less one final newline.",
        )

    def perform(self, person: str, *, password_stdin: bool, **options: Any) -> dict[str, Any]:
        user = User.objects.for_document(person)
        if user is None:
            user = commands.find(User.objects.all(), ids.Prefix.USER, person)
        password = given_password.read(from_stdin=password_stdin)
        commands.read(NewPassword, password=password)
        passwords.reset(user, password)
        return {"id": user.pk}

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        self.stdout.write(f"The password of {result['id']} is set, and their sessions ended.")
