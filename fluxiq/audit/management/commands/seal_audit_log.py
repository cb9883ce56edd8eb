"""Seal the events of the audit trail that wait for it."""

from typing import Any

from fluxiq import commands
from fluxiq.audit import sealing, tallies


class Command(commands.Command):
    """`seal_audit_log`."""

    help = "Seal what waits in the audit trail now. The workers do it each second."

    def perform(self, **options: Any) -> dict[str, int]:
        tallies.tell()
        return {"sealed": sealing.seal()}

    def tell(self, result: dict[str, int], **options: Any) -> None:
        self.stdout.write(f"Sealed events: {result['sealed']}.")
