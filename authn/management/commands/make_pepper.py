"""Make a pepper for API_KEY_PEPPERS."""

import secrets
from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from authn import keys
from fluxiq import commands, rings


class Command(commands.Command):
    """`make_pepper [--id I]`."""

    help = "Print a new entry for API_KEY_PEPPERS. Nothing is stored."
    advice = (
        "Put it last in API_KEY_PEPPERS on every server; once all know it, first: a key moves to"
        " the first when it is used. `list_api_keys --peppers` tells when an old one can go."
    )
    requires_system_checks: list[str] = []  # it mends what the checks complain of

    def ids_of(self, entry: str) -> Iterable[str]:
        """The ids that the ring reads there. Raises ValueError where it refuses the entry."""
        return (pepper.id for pepper in keys.parse_peppers(entry))

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--id",
            metavar="I",
            dest="entry_id",
            help="Its name; today's date and 6 random characters unless given.",
        )

    def perform(self, entry_id: str | None, **options: Any) -> dict[str, Any]:
        if entry_id is None:
            entry_id = rings.new_id(timezone.now().date())
        entry = f"{entry_id}:{secrets.token_urlsafe(48)}"
        if self._found(entry) != [entry_id]:
            raise CommandError(f"{entry_id!r} is no id: it has 1 to 32 of A-Z a-z 0-9 _ . -")
        return {"id": entry_id, "entry": entry}

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        self.stdout.write(result["entry"])
        self.note(self.advice)

    def _found(self, entry: str) -> list[str]:
        try:
            return list(self.ids_of(entry))
        except ValueError:
            return []
