"""List API keys, or count them per pepper."""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from authn.models import ApiKey
from authn.models.api_key_queries import ApiKeyQuerySet
from authn.peppers import peppers
from authn.serializers import ApiKeySerializer
from fluxiq import commands, ids
from merchants.models import Merchant


class Command(commands.Command):
    """`list_api_keys [--merchant ID] [--peppers]`."""

    help = "List API keys, newest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--merchant", metavar="ID", help="Only its keys.")
        parser.add_argument(
            "--peppers",
            dest="per_pepper",
            action="store_true",
            help="Count the live keys per pepper instead: one without any can be taken out.",
        )

    def perform(self, merchant: str | None, *, per_pepper: bool, **options: Any) -> Any:
        rows = ApiKey.objects.select_related("merchant", "successor")
        if merchant is not None:
            commands.find(Merchant.objects.all(), ids.Prefix.MERCHANT, merchant)
            rows = rows.filter(merchant_id=merchant)
        if per_pepper:
            return _per_pepper(rows)
        return [{**ApiKeySerializer(row).data, "state": _state(row)} for row in rows]

    def tell(self, result: Any, **options: Any) -> None:
        if options["per_pepper"]:
            rows = [(pepper, str(count)) for pepper, count in result.items()]
            self.write_table(("PEPPER", "LIVE KEYS"), rows)
        else:
            self.write_table(_HEADINGS, map(_cells, result))


_HEADINGS = ("ID", "MERCHANT", "NAME", "HINT", "STATE", "PERMISSIONS", "LAST USED", "EXPIRES")


def _cells(shown: dict[str, Any]) -> tuple[str, ...]:
    return (
        shown["id"],
        shown["merchant_id"] or "(service)",
        shown["name"],
        shown["hint"],
        shown["state"],
        " ".join(shown["permissions"]),
        shown["last_used_at"] or "never",
        shown["expires_at"] or "never",
    )


def _per_pepper(rows: ApiKeyQuerySet) -> dict[str, int]:
    """The live keys under each pepper: those of the ring, and any that was taken out of it."""
    return {pepper.id: 0 for pepper in peppers()} | rows.live().per_pepper()


def _state(api_key: ApiKey) -> str:
    """Whether the key is in force, and if it is not, or not for long, why."""
    if api_key.revoked_at is not None:
        return "revoked" if api_key.revoked_at <= timezone.now() else "in grace"
    if not api_key.is_live:
        return "expired"
    if api_key.merchant is not None and api_key.merchant.is_suspended:
        return "suspended"
    return "live"
