"""The cast of the tests, and how its members call the API."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client, TestCase

from accounts.models import User
from authn import sessions
from fluxiq import origin
from fluxiq.scopes import Role
from fluxiq.tests.factories import (
    MerchantFactory,
    PaymentAccountFactory,
    UserFactory,
    new_member,
)
from merchants.models import Membership, Merchant, PaymentAccount

API = "/api/v1"
UNAUTHORIZED = (
    b'{"error":{"code":"UNAUTHORIZED","message":"Invalid or expired authentication token"}}'
)
INVALID_LOGIN = b'{"error":{"code":"UNAUTHORIZED","message":"Invalid document or password"}}'

Caller = User | str | None  # a user (through a session of theirs), a raw credential, nobody


class ApiTestCase(TestCase):
    """A bakery with an owner, a manager and an operator; a bookshop with its own owner; staff.

    `olga` owns the bakery, `mario` manages it, `otto` operates it. `ana` owns the bookshop and is
    an outsider to the bakery. `root` is a superuser; `sam` is staff without memberships.
    """

    bakery: Merchant
    bookshop: Merchant
    till: PaymentAccount
    shelf: PaymentAccount
    olga: User
    mario: User
    otto: User
    ana: User
    root: User
    sam: User

    @classmethod
    def setUpTestData(cls) -> None:
        cls.bakery = MerchantFactory.create(name="Padaria Aurora")
        cls.bookshop = MerchantFactory.create(name="Livraria Borges")
        cls.olga = cls.member(cls.bakery, "Olga", Role.OWNER).user
        cls.mario = cls.member(cls.bakery, "Mario", Role.MANAGER).user
        cls.otto = cls.member(cls.bakery, "Otto", Role.OPERATOR).user
        cls.ana = cls.member(cls.bookshop, "Ana", Role.OWNER).user
        cls.root = UserFactory.create(name="Root", is_superuser=True)
        cls.sam = UserFactory.create(name="Sam", is_staff=True)
        cls.till = PaymentAccountFactory.create(merchant=cls.bakery, name="Till")
        cls.shelf = PaymentAccountFactory.create(merchant=cls.bookshop, name="Shelf")

    @staticmethod
    def member(merchant: Merchant, name: str, role: str) -> Any:
        """A new user of that name with that role there: the membership."""
        return new_member(merchant, name, role)

    def membership(self, user: User, merchant: Merchant | None = None) -> Membership:
        """The user's membership, at the bakery unless told otherwise."""
        found: Membership = Membership.objects.get(user=user, merchant=merchant or self.bakery)
        return found

    def setUp(self) -> None:
        self.client = Client(raise_request_exception=False)
        self._tokens: dict[str, sessions.TokenPair] = {}

    def sign_in(self, user: User) -> sessions.TokenPair:
        """A new session of the user, without the cost of a password."""
        with origin.working_as(origin.Origin(address="127.0.0.1", user_agent="tests")):
            return sessions.start(user)

    def bearer(self, caller: Caller) -> dict[str, str]:
        """The Authorization header of a caller; a user keeps one session throughout a test."""
        if caller is None:
            return {}
        if isinstance(caller, User):
            if caller.pk not in self._tokens:
                self._tokens[caller.pk] = self.sign_in(caller)
            caller = self._tokens[caller.pk].access_token
        return {"HTTP_AUTHORIZATION": f"Bearer {caller}"}

    def call(
        self, method: str, path: str, caller: Caller = None, body: Any = None, **extra: Any
    ) -> Any:
        """Call `/api/v1` + path. A body is sent as JSON; bytes and text are sent as they are."""
        if body is not None and not isinstance(body, bytes | str):
            body = json.dumps(body)
        extra.setdefault("content_type", "application/json")
        headers: dict[str, Any] = {**self.bearer(caller), **extra}
        return self.client.generic(method, API + path, body or b"", **headers)

    def get(self, path: str, caller: Caller = None, **extra: Any) -> Any:
        """GET as that caller."""
        return self.call("GET", path, caller, **extra)

    def post(self, path: str, caller: Caller = None, body: Any = None, **extra: Any) -> Any:
        """POST as that caller."""
        return self.call("POST", path, caller, {} if body is None else body, **extra)

    def patch(self, path: str, caller: Caller = None, body: Any = None, **extra: Any) -> Any:
        """PATCH as that caller."""
        return self.call("PATCH", path, caller, {} if body is None else body, **extra)

    def delete(self, path: str, caller: Caller = None, **extra: Any) -> Any:
        """DELETE as that caller."""
        return self.call("DELETE", path, caller, **extra)

    def data(self, response: HttpResponse, status: int = 200) -> Any:
        """What stands under `data`, of an answer with that status."""
        assert response.status_code == status, response.content
        return json.loads(response.content)["data"]

    def error(self, response: HttpResponse, status: int) -> dict[str, Any]:
        """The error of an answer with that status, which is in the envelope."""
        assert response.status_code == status, response.content
        assert response.headers["Content-Type"] == "application/json"
        body = json.loads(response.content)
        assert list(body) == ["error"]
        error: dict[str, Any] = body["error"]
        return error

    def assert_forbidden(self, response: HttpResponse, permission: str | None) -> None:
        """403, naming that permission (or none)."""
        assert self.error(response, 403) == {
            "code": "FORBIDDEN",
            "message": "Insufficient permissions for this operation",
            "required_permission": permission,
        }

    def assert_not_found(self, response: HttpResponse) -> None:
        """404, as if there were no such thing."""
        assert self.error(response, 404)["code"] == "NOT_FOUND"

    def assert_unauthorized(self, response: HttpResponse) -> None:
        """401, in the very bytes of every token fault."""
        assert response.status_code == 401
        assert response.content == UNAUTHORIZED
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.headers["Cache-Control"] == "no-store"

    def assert_invalid(self, response: HttpResponse, *fields: str) -> None:
        """400, with details for exactly these fields."""
        error = self.error(response, 400)
        assert error["code"] == "VALIDATION_ERROR"
        assert sorted(error["details"]) == sorted(fields), error["details"]

    def forget_counts(self) -> None:
        """Give every bucket its whole limit back, for a test of many calls."""
        cache.clear()

    @contextmanager
    def at(self, moment: Any) -> Iterator[None]:
        """A block in which it is that moment, for whatever asks Django's clock, and for usage."""
        microseconds = int(moment.timestamp() * 1_000_000)
        with (
            mock.patch("django.utils.timezone.now", return_value=moment),
            mock.patch("authn.usage._microseconds", return_value=microseconds),
        ):
            yield
