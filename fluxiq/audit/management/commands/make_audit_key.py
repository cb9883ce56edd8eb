"""Make a key for AUDIT_KEYS."""

import secrets
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from fluxiq import commands, rings
from fluxiq.audit import ring


class Command(commands.Command):
    """`make_audit_key [--id I]`."""

    help = "Print a new entry for AUDIT_KEYS. Nothing is stored."
    requires_system_checks: list[str] = []  # it mends what the checks complain of

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--id",
            metavar="I",
            dest="key_id",
            help="Its name; today's date and 6 random characters unless given.",
        )

    def perform(self, key_id: str | None, **options: Any) -> dict[str, Any]:
        if key_id is None:
            key_id = rings.new_id(timezone.now().date())
        entry = f"{key_id}:{secrets.token_urlsafe(48)}"
        if _ids_of(entry) != [key_id]:
            raise CommandError(f"{key_id!r} is no id: it has 1 to 32 of A-Z a-z 0-9 _ . -")
        return {"id": key_id, "entry": entry}

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        self.stdout.write(result["entry"])
        self.note(
            "Put it last in AUDIT_KEYS on every server; once all know it, first: the first seals."
            " Keep the older ones for as long as what they sealed: it is verified by them alone."
        )


def _ids_of(entry: str) -> list[str]:
    """The ids that the ring would read there; none where it would refuse it."""
    try:
        return [key.id for key in ring.parse(entry)]
    except rings.InvalidRing:
        return []
