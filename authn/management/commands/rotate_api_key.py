"""Make an API key's successor."""

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from authn.models import ApiKey
from authn.serializers import ApiKeyRotation, ApiKeySerializer
from fluxiq import commands, ids


class Command(commands.Command):
    """`rotate_api_key KEY_ID [--grace 24h] [--yes]`."""

    help = "Make a key's successor and print it, once, on stdout alone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key_id", metavar="KEY_ID")
        parser.add_argument(
            "--grace",
            metavar="T",
            default="24h",
            help="How long the old key goes on: 0 to 7d (24h unless given).",
        )
        commands.ask_first(parser)

    def perform(self, key_id: str, grace: str, *, yes: bool, **options: Any) -> dict[str, Any]:
        api_key = commands.find(ApiKey.objects.all(), ids.Prefix.API_KEY, key_id)
        seconds = int(commands.duration(grace, may_be_zero=True).total_seconds())
        body = commands.read(ApiKeyRotation, grace_seconds=seconds)
        if not body["grace_seconds"] and api_key.is_live:
            question = f"End {api_key} at once, as its successor is made?"
            self.confirm(commands.one_line(question), yes=yes, in_scripts=True)
        successor, secret = api_key.rotate(timedelta(seconds=body["grace_seconds"]))
        return {**ApiKeySerializer(successor).data, "key": secret}

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        self.stdout.write(result["key"])
        self.note(
            f"{result['id']} succeeds {result['rotated_from']}: the key above is shown this once;"
            " keep it safe."
        )
