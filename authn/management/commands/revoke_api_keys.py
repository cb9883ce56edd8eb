"""Revoke many API keys at once."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from authn.models import ApiKey
from fluxiq import commands, ids
from fluxiq.serializers import StrictCharField, StrictSerializer
from merchants.models import Merchant


class Revocations(StrictSerializer):
    """What the options have to be."""

    reason = StrictCharField(max_length=200)


class Command(commands.Command):
    """`revoke_api_keys (--pepper ID | --merchant ID | --service | --all) [--reason T] [--yes]`."""

    help = (
        "End many API keys at once: those under a pepper, those of a merchant, the service keys, or"
        " all. Without --yes it only says how many there are."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--pepper", metavar="ID", help="Not moved to a newer one by their use.")
        whose.add_argument("--merchant", metavar="ID")
        whose.add_argument("--service", action="store_true", help="The keys of no merchant.")
        whose.add_argument("--all", action="store_true", dest="everybodys")
        parser.add_argument("--yes", action="store_true", help="Do it.")
        parser.add_argument(
            "--reason", metavar="T", default="revoked by a command", help="For the audit trail."
        )

    def perform(
        self,
        pepper: str | None,
        merchant: str | None,
        service: bool,
        yes: bool,
        reason: str,
        **options: Any,
    ) -> dict[str, Any]:
        reason = commands.read(Revocations, reason=reason)["reason"]
        found = ApiKey.objects.live()
        if pepper is not None:
            if not ApiKey.objects.filter(pepper_id=pepper).exists():
                raise CommandError(f"there is no API key under a pepper {pepper!r}")
            found = found.filter(pepper_id=pepper)
        elif merchant is not None:
            of = commands.find(Merchant.objects.all(), ids.Prefix.MERCHANT, merchant)
            found = found.filter(merchant=of)
        elif service:
            found = found.filter(merchant__isnull=True)
        if not yes:
            return {"found": found.count(), "revoked": 0}
        revoked = found.revoke(reason)
        return {"found": revoked, "revoked": revoked}

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        if options["yes"]:
            self.stdout.write(f"{result['revoked']} API keys revoked.")
        else:
            self.stdout.write(f"{result['found']} API keys would be revoked; --yes does it.")
