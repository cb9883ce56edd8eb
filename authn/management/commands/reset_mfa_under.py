"""Reset the second factors that are sealed under a key of MFA_KEYS which leaked."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from authn.mfa import factors
from authn.models import TotpFactor
from fluxiq import commands
from fluxiq.serializers import StrictCharField, StrictSerializer


class Resets(StrictSerializer):
    """What the options have to be."""

    reason = StrictCharField(max_length=200)


class Command(commands.Command):
    """`reset_mfa_under KEY_ID [--reason T] [--yes]`."""

    help = (
        "Remove every second factor that is sealed under this key of MFA_KEYS and end those"
        " people's sessions: whoever has the key and the database has their secrets. Without --yes"
        " it only says how many there are."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key_id", metavar="KEY_ID")
        parser.add_argument("--yes", action="store_true", help="Do it.")
        parser.add_argument(
            "--reason", metavar="T", default="reset by a command", help="For the audit trail."
        )

    def perform(self, key_id: str, yes: bool, reason: str, **options: Any) -> dict[str, Any]:
        reason = commands.read(Resets, reason=reason)["reason"]
        sealed = TotpFactor.objects.confirmed().filter(key_id=key_id).select_related("user")
        if not sealed.exists():
            raise CommandError(f"there is no second factor under a key {key_id!r}")
        if not yes:
            return {"found": sealed.count(), "reset": 0}
        reset = sum(factors.reset(factor.user, reason) for factor in sealed.order_by("pk"))
        return {"found": reset, "reset": reset}

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        if options["yes"]:
            self.stdout.write(f"{result['reset']} second factors removed.")
        else:
            self.stdout.write(f"{result['found']} second factors would be removed; --yes does it.")
