"""Remove dead sessions and tokens."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from rest_framework import serializers

from authn import purge
from fluxiq import commands
from fluxiq.serializers import StrictSerializer

MAX_BATCH_SIZE = 10_000  # the rows of one statement; databases bound its parameters


class PurgeOptions(StrictSerializer):
    """What the options have to be."""

    batch_size = serializers.IntegerField(min_value=1, max_value=MAX_BATCH_SIZE)


class Command(commands.Command):
    """`purge_expired [--batch-size 1000]`."""

    help = "Remove sessions and tokens that are long dead. Run it once a day."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch-size", metavar="N", default=purge.BATCH_SIZE)

    def perform(self, batch_size: str | int, **options: Any) -> dict[str, int]:
        body = commands.read(PurgeOptions, batch_size=batch_size)
        with commands.progress(None, "rows") as step:
            return asdict(purge.purge_expired(**body, step=step))

    def tell(self, result: dict[str, int], **options: Any) -> None:
        counts = ", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in result.items())
        self.stdout.write(f"Removed {counts}.")
