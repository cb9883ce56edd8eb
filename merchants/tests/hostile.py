"""Bodies that no route takes, the routes that read one, and how each is refused."""

from collections.abc import Iterator
from typing import Any

from django.core import mail
from django.test import override_settings

from accounts.models import User
from fluxiq.audit.models import AuditEvent
from fluxiq.scopes import Role
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import join
from merchants.models import Membership, Merchant, PaymentAccount

CODES = {
    400: "VALIDATION_ERROR",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}


def label(value: Any) -> str:
    return ascii(value)[:40]


@override_settings(RATE_LIMIT_JWT=(100_000, 60), RATE_LIMIT_ANONYMOUS=(100_000, 60))
class HostileBodyTestCase(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        # A member of two, so that `merchant_id` cannot be left out.
        join(self.bookshop, self.olga, Role.OWNER)
        self.bearer(self.olga)
        account = f"/accounts/{self.till.id}"
        member = f"/users/{self.membership(self.otto).id}"
        self.creations: dict[str, dict[str, Any]] = {
            "/accounts": {"merchant_id": self.bakery.id, "name": "Savings"},
            "/users": {
                "merchant_id": self.bakery.id,
                "document": "98765432100",
                "name": "Nina",
                "role": "operator",
                "email": "nina@example.com",
            },
        }
        self.changes: dict[str, dict[str, Any]] = {
            account: {"name": "Renamed", "status": "blocked"},
            member: {"name": "Renamed", "role": "manager", "status": "inactive"},
        }
        self.before = self.state()

    def state(self) -> Any:
        """All that a request of these routes could write."""
        return (
            [
                list(model.objects.order_by("pk").values())
                for model in (Merchant, Membership, PaymentAccount, User)
            ],
            AuditEvent.objects.count(),
            len(mail.outbox),
        )

    def routes(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Method, path and a good body of each route that reads one."""
        for path, good in self.creations.items():
            yield "POST", path, good
        for path, good in self.changes.items():
            yield "PATCH", path, good

    def send(self, method: str, path: str, body: Any, **extra: Any) -> Any:
        """Send a body as the owner; lone surrogates travel as JSON's escapes."""
        return self.call(method, path, self.olga, body, **extra)

    def assert_refused(self, response: Any, *statuses: int) -> dict[str, Any]:
        """One of these statuses, in the envelope, with its code and the headers of every answer."""
        assert response.status_code in statuses, (response.status_code, response.content[:300])
        error = self.error(response, response.status_code)
        assert error["code"] == CODES[response.status_code]
        assert error["message"]
        assert response.headers["X-RateLimit-Limit"]
        assert response.headers["Cache-Control"] == "no-store"
        if response.status_code == 400:
            assert sorted(error) == ["code", "details", "message"]
            assert error["details"]
            for field, messages in error["details"].items():
                assert isinstance(field, str)
                assert messages
                assert all(isinstance(message, str) and message for message in messages)
        else:
            assert sorted(error) == ["code", "message"]
        return error

    def assert_nothing_happened(self) -> None:
        assert self.state() == self.before
