"""Issue an API key: a merchant's, or a FluxiQ service's."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from rest_framework import serializers

from authn.models import ApiKey
from authn.serializers import AddressListField, ApiKeyCreation, ApiKeySerializer, ExpiryField
from fluxiq import commands, ids
from fluxiq.serializers import NameField, StrictSerializer
from merchants.models import Merchant

MAX_RATE_LIMIT = 2**31 - 1  # what the column holds


class RateLimitField(serializers.IntegerField):
    """Requests in a minute."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=MAX_RATE_LIMIT, **kwargs)


class KeyOptions(ApiKeyCreation):
    """What the options of a merchant's key have to be: the API's body, and what staff may set."""

    rate_limit = RateLimitField(required=False)


class ServiceKeyOptions(StrictSerializer):
    """What the options of a service key have to be."""

    name = NameField()
    expires_at = ExpiryField(required=False)
    allowed_ips = AddressListField(required=False)
    rate_limit = RateLimitField(required=False)


class Command(commands.Command):
    """`issue_api_key MERCHANT_ID --name N --permission S … [--expires-in 90d]`, or `--service`."""

    help = "Issue an API key and print it, once, on stdout alone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.usage = (
            "%(prog)s MERCHANT_ID --name N --permission S [S ...] [options]\n"
            "       %(prog)s --service --name N [options]"
        )
        parser.add_argument("merchant_id", metavar="MERCHANT_ID", nargs="?")
        parser.add_argument("--name", metavar="N", required=True)
        parser.add_argument(
            "--permission",
            metavar="S",
            action="extend",
            nargs="+",
            help="A scope such as pix:write. May be repeated.",
        )
        parser.add_argument(
            "--service",
            action="store_true",
            help="A service's key, to introspect tokens; in place of merchant and permissions.",
        )
        parser.add_argument("--expires-in", metavar="T", help="Such as 90d or 24h; else never.")
        parser.add_argument(
            "--allow-ip",
            metavar="CIDR",
            action="extend",
            nargs="+",
            help="Where it may be used from; else anywhere. May be repeated.",
        )
        parser.add_argument("--rate-limit", metavar="N", help="Requests in a minute.")

    def perform(
        self,
        *,
        merchant_id: str | None,
        name: str,
        permission: list[str] | None,
        service: bool,
        expires_in: str | None,
        allow_ip: list[str] | None,
        rate_limit: str | None,
        **options: Any,
    ) -> dict[str, Any]:
        limits = {
            "expires_at": None if expires_in is None else _moment(expires_in),
            "allowed_ips": allow_ip,
            "rate_limit": rate_limit,
        }
        if service:
            if merchant_id is not None or permission is not None:
                raise CommandError("--service stands in place of a merchant and permissions")
            body = commands.read(ServiceKeyOptions, name=name, **limits)
            api_key, secret = ApiKey.objects.issue_service_key(**body)
        else:
            if merchant_id is None:
                raise CommandError("MERCHANT_ID is required, before the options (or --service)")
            merchant = commands.find(Merchant.objects.all(), ids.Prefix.MERCHANT, merchant_id)
            body = commands.read(KeyOptions, name=name, permissions=permission, **limits)
            api_key, secret = ApiKey.objects.issue(merchant, **body)
        return {**ApiKeySerializer(api_key).data, "key": secret}

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        self.stdout.write(result["key"])
        self.note(f"{result['id']}: the key above is shown this once; keep it safe.")


def _moment(expires_in: str) -> str:
    """When that time from now is, as the API would be told. Raises CommandError."""
    return (timezone.now() + commands.duration(expires_in)).isoformat()
