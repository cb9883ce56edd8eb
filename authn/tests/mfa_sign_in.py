"""Signing in with a second factor, as the tests of it take its two steps."""

from typing import Any

from django.test import override_settings

from accounts.models import User
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import PASSWORD, Phone, enrol

INVALID = b'{"error":{"code":"UNAUTHORIZED","message":"Invalid or expired challenge or code"}}'
NOT_LIMITED = override_settings(RATE_LIMIT_ANONYMOUS=(10_000, 60))


class MfaCase(ApiTestCase):
    phone: Phone

    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        cls.phone = enrol(cls.olga)

    def login(self, user: User, **extra: Any) -> Any:
        body = {"document": user.document, "password": PASSWORD}
        return self.post("/auth/login", None, body, **extra)

    def challenge(self, user: User | None = None) -> str:
        """A challenge of a sign-in of the user, of olga unless told otherwise."""
        error = self.error(self.login(user or self.olga), 403)
        return str(error["challenge"])

    def finish(self, challenge: str, code: str, **extra: Any) -> Any:
        body = {"challenge": challenge, "code": code}
        return self.post("/auth/login/mfa", None, body, **extra)
