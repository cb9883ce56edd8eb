"""An invitation and its acceptance, as the tests of both ask for them."""

from typing import Any

from django.test import override_settings

from accounts.models import User
from fluxiq.audit.models import AuditEvent
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import PASSWORD
from merchants.models import Membership

ACCEPT = "/auth/invitations/accept"
NINA = "98765432100"
REFUSED = (
    b'{"error":{"code":"UNAUTHORIZED","message":'
    b'"Invalid or expired invitation, document or password"}}'
)
MEMBER = [
    "created_at", "document", "id", "merchant_id", "name", "role", "status", "user_id",
]  # fmt: skip
MANY = override_settings(RATE_LIMIT_ANONYMOUS=(10_000, 60))


class InvitationTestCase(ApiTestCase):
    def invite(self, caller: Any = None, **changes: Any) -> Any:
        body = {"document": NINA, "name": "Nina", "role": "operator", **changes}
        return self.post("/users", caller or self.olga, body)

    def invitation(self, **changes: Any) -> str:
        secret: str = self.data(self.invite(**changes), 201)["invitation"]
        return secret

    def accept(self, invitation: str, document: str = NINA, password: str = PASSWORD) -> Any:
        body = {"invitation": invitation, "document": document, "password": password}
        return self.post(ACCEPT, None, body)

    def assert_refused(self, response: Any) -> None:
        """401, in the very bytes of every fault of an acceptance."""
        assert response.status_code == 401, response.content
        assert response.content == REFUSED
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.headers["Cache-Control"] == "no-store"

    def invited(self) -> Membership:
        found: Membership = Membership.objects.get(document=NINA, merchant=self.bakery)
        return found

    def written(self) -> Any:
        """All that an acceptance could write."""
        return (
            list(User.objects.order_by("id").values()),
            list(Membership.objects.order_by("id").values()),
            AuditEvent.objects.count(),
        )

    def events(self, kind: str) -> list[AuditEvent]:
        """The audit events of that kind, oldest first."""
        return list(AuditEvent.objects.filter(kind=kind).order_by("id"))
