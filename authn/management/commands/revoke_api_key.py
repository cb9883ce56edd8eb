"""Revoke an API key."""

from typing import Any

from django.core.management.base import CommandParser

from authn.models import ApiKey
from authn.serializers import ApiKeySerializer
from fluxiq import commands, ids
from fluxiq.serializers import StrictCharField, StrictSerializer


class Revocation(StrictSerializer):
    """What the options have to be."""

    reason = StrictCharField(max_length=200)


class Command(commands.Command):
    """`revoke_api_key KEY_ID [--reason T] [--yes]`."""

    help = "End an API key at once. One that has ended already is no error."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key_id", metavar="KEY_ID")
        parser.add_argument(
            "--reason", metavar="T", default="revoked by a command", help="For the audit trail."
        )
        commands.ask_first(parser)

    def perform(self, key_id: str, reason: str, *, yes: bool, **options: Any) -> dict[str, Any]:
        api_key = commands.find(
            ApiKey.objects.select_related("merchant", "successor"), ids.Prefix.API_KEY, key_id
        )
        if api_key.is_live:
            question = (
                f"End {api_key} of {api_key.merchant or 'a FluxiQ service'} at once, for good?"
            )
            self.confirm(commands.one_line(question), yes=yes, in_scripts=True)
        revoked = api_key.revoke(**commands.read(Revocation, reason=reason))
        return {**ApiKeySerializer(api_key).data, "already_revoked": not revoked}

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        before = "was revoked already, at" if result["already_revoked"] else "revoked at"
        self.stdout.write(f"{result['id']} {before} {result['revoked_at']}.")
