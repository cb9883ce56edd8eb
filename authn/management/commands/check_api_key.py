"""Judge something that may be an API key, without printing it."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from authn import keys
from authn.models import ApiKey
from fluxiq import commands

MAX_INPUT = 4096  # characters; a key has 46


class Command(commands.Command):
    """`check_api_key [--lookup] < file`."""

    help = "Say whether standard input is a well-formed API key; with --lookup, whose it is."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--lookup", action="store_true", help="Ask the database whose it is.")

    def perform(self, *, lookup: bool, **options: Any) -> dict[str, Any]:
        if sys.stdin.isatty():
            self.note("Paste the key and end with Ctrl-D.")
        candidate = sys.stdin.read(MAX_INPUT).strip()
        if not candidate:
            raise CommandError("standard input is empty")
        environment = next(
            (name for name in keys.PREFIXES if keys.is_well_formed(candidate, name)), None
        )
        result: dict[str, Any] = {
            "well_formed": environment is not None,
            "environment": environment,
        }
        if lookup:
            result["key"] = self._owner(candidate)
        return result

    def _owner(self, candidate: str) -> dict[str, Any] | None:
        """Whose key this is, dead or alive; None where it opens nothing in this deployment."""
        api_key = ApiKey.objects.opened_by(candidate)
        if api_key is None:
            return None
        return {
            "id": api_key.id,
            "name": api_key.name,
            "merchant_id": api_key.merchant_id,
            "hint": api_key.hint,
            "live": api_key.is_live,
        }

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        if not result["well_formed"]:
            self.stdout.write("Not a well-formed API key.")
            return
        kind = "live" if result["environment"] == "live" else "test"
        self.stdout.write(f"A well-formed API key of a {kind} deployment.")
        if not options["lookup"]:
            return
        found = result["key"]
        if found is None:
            here = "live" if settings.FLUXIQ_ENVIRONMENT == "live" else "test"
            self.stdout.write(f"It opens nothing in this ({here}) deployment.")
            return
        state = "in force" if found["live"] else "no longer in force"
        owner = found["merchant_id"] or "a FluxiQ service"
        self.stdout.write(f"{found['id']} ({found['name']}) of {owner}, {state}.")
