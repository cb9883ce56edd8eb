"""Move the counts of API keys' use to the database."""

from dataclasses import asdict
from typing import Any

from authn import usage
from fluxiq import commands


class Command(commands.Command):
    """`flush_usage`."""

    help = "Move the counts of API keys' use to the database now. The workers do it each minute."

    def perform(self, **options: Any) -> dict[str, int]:
        return asdict(usage.flush())

    def tell(self, result: dict[str, int], **options: Any) -> None:
        self.stdout.write(f"Moved batches: {result['batches']}, rows: {result['rows']}.")
