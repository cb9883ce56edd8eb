"""Make a user, or give one who exists a membership."""

import sys
from dataclasses import dataclass
from getpass import getpass
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import IntegrityError, transaction
from rest_framework import serializers

from accounts.models import User
from authn import passwords
from authn.serializers import PasswordField
from fluxiq import commands, ids
from fluxiq.errors import Conflict
from fluxiq.scopes import Role
from fluxiq.serializers import NameField, StrictSerializer
from merchants.models import Membership, Merchant
from merchants.serializers import DocumentField


class UserCreation(StrictSerializer):
    """What the options have to be."""

    document = DocumentField()
    name = NameField(required=False)
    email = serializers.EmailField(max_length=254, required=False)


class NewPassword(StrictSerializer):
    """What a password has to be before the rules for new ones are asked."""

    password = PasswordField()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a user becomes a member, and as what."""

    merchant: Merchant
    role: str


class Command(commands.Command):
    """`create_user DOCUMENT --name N [--merchant ID --role R] [--superuser] [--password-stdin]`."""

    help = "Make a user, or give one who exists a membership (their password stays)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("document", metavar="DOCUMENT", help="CPF or CNPJ.")
        parser.add_argument("--name", metavar="N")
        parser.add_argument("--email", metavar="E", help="Where a forgotten password is mended.")
        parser.add_argument("--merchant", metavar="ID", help="A member of it at once.")
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
            user = self._create(body, place, **options)
        else:
            self._add_membership(user, place, email, **options)
        return {"id": user.id}

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
        password = _piped_password() if password_stdin else _typed_password()
        commands.read(NewPassword, password=password)
        passwords.check_new(password, User(name=body["name"]), "password")
        try:
            with transaction.atomic():
                user = User.objects.create_user(
                    body["document"],
                    password,
                    name=body["name"],
                    email=body.get("email", ""),
                    is_superuser=superuser,
                    is_staff=staff or superuser,
                )
                if place is not None:
                    Membership.objects.add(place.merchant, user, place.role)
        except IntegrityError as error:
            raise Conflict("A user with this document was made at this moment") from error
        return user

    def _add_membership(
        self,
        user: User,
        place: Place | None,
        email: str | None,
        *,
        superuser: bool,
        staff: bool,
        **options: Any,
    ) -> None:
        if place is None:
            raise CommandError("a user with this document exists; --merchant adds a membership")
        if superuser or staff or email is not None:
            raise CommandError(
                "a user with this document exists; --superuser, --staff, --email are for new ones"
            )
        Membership.objects.add(place.merchant, user, place.role)
        self.note("The user existed before: their name and password stay as they are.")

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        part = f", {options['role']} at {options['merchant']}" if options["merchant"] else ""
        self.stdout.write(f"The user {result['id']}{part}.")


def _place(merchant_id: str | None, role: str | None) -> Place | None:
    """What --merchant and --role mean together. Raises CommandError for one without the other."""
    if merchant_id is None and role is None:
        return None
    if merchant_id is None or role is None:
        raise CommandError("--merchant and --role go together")
    merchant = commands.find(Merchant.objects.all(), ids.Prefix.MERCHANT, merchant_id)
    return Place(merchant, role)


def _piped_password() -> str:
    """Standard input to its end, less one final newline. Raises CommandError."""
    try:
        return sys.stdin.read().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise CommandError("the password on standard input is not UTF-8") from error


def _typed_password() -> str:
    """The password as typed twice at the terminal. Raises CommandError."""
    if not sys.stdin.isatty():
        raise CommandError("there is no terminal to ask for the password at: use --password-stdin")
    try:
        first, second = getpass("Password: "), getpass("Password (again): ")
    except EOFError as error:
        raise CommandError("no password was typed") from error
    if first != second:
        raise CommandError("the two passwords differ")
    return first
