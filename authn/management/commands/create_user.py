"""Make a user, or invite one who exists to a merchant."""

from dataclasses import dataclass
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import IntegrityError
from rest_framework import serializers

from accounts.models import User
from authn import passwords
from authn.management import given_password
from authn.serializers import NewPassword
from fluxiq import commands, ids
from fluxiq.errors import Conflict
from fluxiq.principals import PLATFORM
from fluxiq.scopes import Role
from fluxiq.serializers import NameField, StrictSerializer
from merchants.models import Membership, Merchant
from merchants.serializers import DocumentField


class UserCreation(StrictSerializer):
    """What the options have to be."""

    document = DocumentField()
    name = NameField(required=False)
    email = serializers.EmailField(max_length=254, required=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a user becomes a member, and as what."""

    merchant: Merchant
    role: str


class Command(commands.Command):
    """`create_user DOCUMENT --name N [--merchant ID --role R] [--superuser] [--password-stdin]`."""

    help = (
        "Make a user. One who exists stays as they are: they are invited to the merchant, and the"
        " invitation is printed, once, or mailed to --email."
    )

    _invited = False  # whether the user existed, and so had to be invited

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("document", metavar="DOCUMENT", help="CPF or CNPJ.")
        parser.add_argument("--name", metavar="N")
        parser.add_argument(
            "--email", metavar="E", help="Of a new user; or where to mail the invitation."
        )
        parser.add_argument(
            "--merchant", metavar="ID", help="A new user is a member at once; else invited."
        )
        parser.add_argument("--role", choices=[str(r) for r in Role], help="The role there.")
        parser.add_argument(
            "--superuser", action="store_true", help="Platform staff who hold * everywhere."
        )
        parser.add_argument("--staff", action="store_true", help="May enter the staff console.")
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help="Read the password from standard input, exactly, less one final newline.",
        )

    def perform(
        self,
        document: str,
        name: str | None,
        email: str | None,
        merchant: str | None,
        role: str | None,
        **options: Any,
    ) -> dict[str, Any]:
        body = commands.read(UserCreation, document=document, name=name, email=email)
        place = _place(merchant, role)
        user = User.objects.for_document(body["document"])
        if user is None:
            return {"id": self._create(body, place, **options).id}
        invitation = self._invite(user, body, place, **options)
        return {"id": user.id, **({} if invitation is None else {"invitation": invitation})}

    def _create(
        self,
        body: dict[str, Any],
        place: Place | None,
        *,
        superuser: bool,
        staff: bool,
        password_stdin: bool,
        **options: Any,
    ) -> User:
        if "name" not in body:
            raise CommandError("--name is required for a new user")
        password = given_password.read(from_stdin=password_stdin)
        commands.read(NewPassword, password=password)
        passwords.check_new(password, User(name=body["name"]), "password")
        user = User.objects.unsaved(
            body["document"],
            password,
            name=body["name"],
            email=body.get("email", ""),
            is_superuser=superuser,
            is_staff=staff or superuser,
        )
        try:
            if place is None:
                User.objects.register(user)
            else:
                Membership.objects.add_with_new_user(place.merchant, user, place.role)
        except IntegrityError as error:
            raise Conflict("A user with this document was made at this moment") from error
        return user

    def _invite(
        self,
        user: User,
        body: dict[str, Any],
        place: Place | None,
        *,
        superuser: bool,
        staff: bool,
        **options: Any,
    ) -> str | None:
        """The invitation, or None where it is mailed. Nothing of the user changes."""
        if place is None:
            raise CommandError("a user with this document exists; --merchant invites them")
        if superuser or staff:
            raise CommandError(
                "a user with this document exists; --superuser and --staff are for new ones"
            )
        self.note("The user exists: name, e-mail address and password stay as they are.")
        _, invitation = Membership.objects.invite(
            PLATFORM,
            place.merchant,
            document=user.document,
            name=body.get("name", user.name),
            role=place.role,
            email=body.get("email", ""),
        )
        self._invited = True
        return invitation

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        place = f"{options['role']} at {options['merchant']}"
        if not self._invited:
            part = f", {place}" if options["merchant"] else ""
            self.stdout.write(f"The user {result['id']}{part}.")
        elif "invitation" in result:
            self.stdout.write(result["invitation"])
            self.note(
                f"{result['id']} is invited as {place}. The invitation above is shown this once;"
                " it takes their document and password to accept it."
            )
        else:
            self.stdout.write(f"{result['id']} is invited as {place}, by mail.")


def _place(merchant_id: str | None, role: str | None) -> Place | None:
    """What --merchant and --role mean together. Raises CommandError for one without the other."""
    if merchant_id is None and role is None:
        return None
    if merchant_id is None or role is None:
        raise CommandError("--merchant and --role go together")
    merchant = commands.find(Merchant.objects.all(), ids.Prefix.MERCHANT, merchant_id)
    return Place(merchant, role)
