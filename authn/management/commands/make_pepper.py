"""Make a pepper for API_KEY_PEPPERS."""

import secrets
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from authn import keys
from fluxiq import commands


class Command(commands.Command):
    """`make_pepper [--id I]`."""

    help = "Print a new entry for API_KEY_PEPPERS. Nothing is stored."
    requires_system_checks: list[str] = []  # it mends what the checks complain of

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--id", metavar="I", dest="pepper_id", help="Its name; today's date unless given."
        )

    def perform(self, pepper_id: str | None, **options: Any) -> dict[str, Any]:
        if pepper_id is None:
            pepper_id = f"{timezone.now():%Y-%m-%d}"
        entry = f"{pepper_id}:{secrets.token_urlsafe(48)}"
        if _ids_of(entry) != [pepper_id]:
            raise CommandError(f"{pepper_id!r} is no id: it has 1 to 32 of A-Z a-z 0-9 _ . -")
        return {"id": pepper_id, "entry": entry}

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        self.stdout.write(result["entry"])
        self.note(
            "Put it first in API_KEY_PEPPERS and keep the older ones: a key moves to it when it is"
            " used. `list_api_keys --peppers` tells when an old one can go."
        )


def _ids_of(entry: str) -> list[str]:
    """The ids that the ring would read there; none where it would refuse it."""
    try:
        return [pepper.id for pepper in keys.parse_peppers(entry)]
    except keys.InvalidPeppers:
        return []
