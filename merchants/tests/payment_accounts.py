"""Payment accounts, as the tests of their endpoints ask for them."""

from typing import Any

from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.tests.base import ApiTestCase

FIELDS = [
    "balance", "branch", "created_at", "currency", "id", "merchant_id", "name", "number", "status",
]  # fmt: skip


class AccountTestCase(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = f"/accounts/{self.till.id}"

    def rows(self, caller: Any, query: str = "") -> list[str]:
        return [row["id"] for row in self.data(self.get(f"/accounts{query}", caller))]

    def events(self) -> Any:
        return AuditEvent.objects.filter(
            kind__in=[Kind.ACCOUNT_OPENED, Kind.ACCOUNT_CHANGED]
        ).order_by("id")
