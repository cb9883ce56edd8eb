"""The table of members on a merchant's page of the staff console."""

from typing import Any

from merchants.models import Membership, Merchant


class MemberTable:
    """The table of members on a merchant's page, as a browser would send it."""

    def __init__(self, merchant: Merchant) -> None:
        self.rows: list[dict[str, str]] = [
            {"id": m.pk, "role": m.role, "status": m.status}
            for m in Membership.objects.filter(merchant=merchant)
        ]
        self._initial = len(self.rows)
        self._merchant = merchant

    def row(self, membership: Membership) -> dict[str, str]:
        (found,) = (row for row in self.rows if row["id"] == membership.pk)
        return found

    def add(self, person: str, role: str, **fields: str) -> None:
        self.rows.append({"id": "", "person": person, "role": role, **fields})

    def fields(self) -> dict[str, Any]:
        fields = {
            "memberships-TOTAL_FORMS": str(len(self.rows)),
            "memberships-INITIAL_FORMS": str(self._initial),
            "memberships-MIN_NUM_FORMS": "0",
            "memberships-MAX_NUM_FORMS": "1000",
        }
        for index, row in enumerate(self.rows):
            for name, value in {"merchant": self._merchant.pk, **row}.items():
                fields[f"memberships-{index}-{name}"] = value
        return fields
