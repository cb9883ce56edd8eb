"""The API keys of a merchant, as the tests ask for them."""

from typing import Any

from fluxiq.tests.base import ApiTestCase

FIELDS = [
    "allowed_ips", "created_at", "created_by", "expires_at", "hint", "id", "last_used_at",
    "merchant_id", "name", "permissions", "rate_limit", "revoked_at", "rotated_from", "rotated_to",
]  # fmt: skip


class ApiKeyTestCase(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = f"/merchants/{self.bakery.id}/api-keys"
        self.body: dict[str, Any] = {"name": "Production Key", "permissions": ["accounts:read"]}

    def issue(self, caller: Any = None, **changes: Any) -> Any:
        return self.post(self.path, caller or self.olga, {**self.body, **changes})
