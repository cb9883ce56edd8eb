"""Make a merchant."""

from typing import Any

from django.core.management.base import CommandParser

from fluxiq import commands
from fluxiq.serializers import NameField, StrictSerializer
from merchants.models import Merchant
from merchants.serializers import DocumentField


class MerchantCreation(StrictSerializer):
    """What the options have to be."""

    name = NameField()
    document = DocumentField()


class Command(commands.Command):
    """`create_merchant NAME --document D`."""

    help = "Make a merchant."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--document", metavar="D", required=True, help="Its CPF or CNPJ.")

    def perform(self, name: str, document: str, **options: Any) -> dict[str, Any]:
        merchant = Merchant.objects.open(
            **commands.read(MerchantCreation, name=name, document=document)
        )
        return {"id": merchant.id}

    def tell(self, result: dict[str, Any], **options: Any) -> None:
        self.stdout.write(f"Created the merchant {result['id']}.")
