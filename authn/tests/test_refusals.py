"""What is refused is counted by the minute in the audit trail."""

from datetime import timedelta
from typing import Any
from unittest import mock

from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from fluxiq.audit import tallies
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import MembershipFactory, enrol, issue_key
from merchants.models import Membership

PASSWORD = "the right password of Olga"


def told(kind: Kind) -> list[AuditEvent]:
    """The events of that kind, once the minute is over."""
    tallies.store()
    with mock.patch("django.utils.timezone.now", return_value=timezone.now() + timedelta(hours=1)):
        tallies.tell()
    return list(AuditEvent.objects.filter(kind=kind).order_by("pk"))


class SignInTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.olga.set_password(PASSWORD)
        self.olga.save()
        # All of a test falls into one minute.
        now = timezone.now().replace(second=5)
        self.enterContext(mock.patch("fluxiq.audit.tallies.timezone.now", return_value=now))

    def sign_in_with(self, document: str, password: str = "wrong", **extra: Any) -> int:
        body = {"document": document, "password": password}
        status: int = self.post("/auth/login", None, body, **extra).status_code
        return status

    def test_failures_of_one_user_are_one_event_with_their_count(self) -> None:
        for address in ("203.0.113.1", "203.0.113.2", "203.0.113.2"):
            assert self.sign_in_with(self.olga.document, REMOTE_ADDR=address) == 401
        (event,) = told(Kind.SIGN_IN_FAILED)
        assert (event.object_id, event.after) == (self.olga.id, {"count": 3})
        assert (event.actor_kind, event.address) == ("anonymous", "203.0.113.2")

    def test_documents_that_nobody_has_are_one_event_however_many(self) -> None:
        for number in range(8):
            assert self.sign_in_with(f"9900000000{number}") == 401
        assert self.sign_in_with("no document") == 401
        (event,) = told(Kind.SIGN_IN_FAILED)
        assert (event.object_id, event.after) == ("", {"count": 9})

    def test_throttled_ones_are_counted_apart(self) -> None:
        for _ in range(5):
            self.sign_in_with(self.olga.document)
        assert self.sign_in_with(self.olga.document, PASSWORD) == 429
        assert self.sign_in_with(self.olga.document, PASSWORD) == 429
        (event,) = told(Kind.SIGN_IN_THROTTLED)
        assert (event.object_id, event.after) == (self.olga.id, {"count": 2})
        assert [event.after for event in told(Kind.SIGN_IN_FAILED)] == [{"count": 5}]

    def test_a_good_sign_in_is_no_failure(self) -> None:
        assert self.sign_in_with(self.olga.document, PASSWORD) == 200
        assert told(Kind.SIGN_IN_FAILED) == told(Kind.SIGN_IN_THROTTLED) == []

    def test_a_wrong_password_at_a_change_and_at_an_invitation_count_too(self) -> None:
        body = {"current_password": "wrong", "new_password": "another good password"}
        assert self.post("/auth/password", self.olga, body).status_code == 400
        invitation = {
            "invitation": "inv_none",
            "document": self.olga.document,
            "password": "wrong password of olga",
        }
        assert self.post("/auth/invitations/accept", None, invitation).status_code == 401
        (event,) = told(Kind.SIGN_IN_FAILED)
        assert (event.object_id, event.after) == (self.olga.id, {"count": 2})

    def test_wrong_codes_of_a_second_factor_count_too(self) -> None:
        phone = enrol(self.olga)
        body = {"document": self.olga.document, "password": PASSWORD}
        challenge = self.post("/auth/login", None, body).json()["error"]["challenge"]
        wrong = {"challenge": challenge, "code": phone.wrong_code()}
        statuses = [self.post("/auth/login/mfa", None, wrong).status_code for _ in range(6)]
        assert statuses == [401] * 5 + [429]
        for kind, count in ((Kind.SIGN_IN_FAILED, 5), (Kind.SIGN_IN_THROTTLED, 1)):
            (event,) = told(kind)
            assert (event.object_id, event.after) == (self.olga.id, {"count": count})

    def test_no_password_and_no_document_stands_in_the_trail(self) -> None:
        self.sign_in_with(self.olga.document, "my-secret-guess")
        told(Kind.SIGN_IN_FAILED)
        trail = str(list(AuditEvent.objects.values_list()))
        assert "my-secret-guess" not in trail
        assert self.olga.document not in trail


class ConsoleSignInTests(ConsoleTestCase):
    def test_the_consoles_sign_ins_count_and_so_does_who_is_no_staff(self) -> None:
        for user in (self.sam, self.olga):
            user.set_password(PASSWORD)
            user.save()
        for user, password in ((self.sam, "wrong"), (self.olga, PASSWORD)):
            fields = {"username": user.document, "password": password}
            assert self.client.post("/admin/login/", fields).status_code == 200
        events = told(Kind.SIGN_IN_FAILED)
        assert {event.object_id for event in events} == {self.sam.id, self.olga.id}

    def test_pages_that_are_refused_to_staff_are_counted(self) -> None:
        self.enter(self.sam)
        for page in ("authn/apikey/", "authn/apikey/add/"):
            self.look(page, expect=403)
        (event,) = told(Kind.PERMISSION_REFUSED)
        assert (event.actor_kind, event.actor_id) == ("staff", self.sam.id)
        assert (event.merchant_id, event.after) == ("", {"count": 2})


class PermissionTests(ApiTestCase):
    def test_refusals_are_one_event_for_each_caller_and_permission(self) -> None:
        for _ in range(3):
            self.assert_forbidden(self.get("/users", self.otto), "users:read")
        self.assert_forbidden(self.post("/accounts", self.otto, {"name": "x"}), "accounts:write")
        self.assert_forbidden(self.get("/users", self.mario), "users:read")
        found = [
            (event.actor_kind, event.actor_id, event.merchant_id, event.after)
            for event in told(Kind.PERMISSION_REFUSED)
        ]
        assert sorted(found, key=str) == sorted(
            [
                (
                    "user", self.otto.id, self.bakery.id,
                    {"count": 3, "required_permission": "users:read"},
                ),
                (
                    "user", self.otto.id, self.bakery.id,
                    {"count": 1, "required_permission": "accounts:write"},
                ),
                (
                    "user", self.mario.id, self.bakery.id,
                    {"count": 1, "required_permission": "users:read"},
                ),
            ],
            key=str,
        )  # fmt: skip

    def test_a_keys_refusals_are_its_merchants(self) -> None:
        api_key, secret = issue_key(self.bakery)
        assert self.get("/auth/verify?permission=users:write", secret).status_code == 403
        assert self.get(f"/merchants/{self.bakery.id}/api-keys", secret).status_code == 403
        events = told(Kind.PERMISSION_REFUSED)
        assert {(event.actor_kind, event.actor_id) for event in events} == {("api_key", api_key.id)}
        assert {event.merchant_id for event in events} == {self.bakery.id}

    def at_two(self, user: User) -> Membership:
        made: Membership = MembershipFactory.create(
            merchant=self.bookshop, user=user, role="operator"
        )
        return made

    def test_of_a_member_of_several_merchants_it_is_where_it_was_refused(self) -> None:
        self.at_two(self.olga)  # the owner of the bakery
        for path in (
            f"/accounts/{self.shelf.id}",
            f"/merchants/{self.bookshop.id}/audit-events",
            f"/auth/verify?permission=users:write&merchant_id={self.bookshop.id}",
        ):
            method = "PATCH" if path.startswith("/accounts") else "GET"
            assert self.call(method, path, self.olga).status_code == 403, path
        events = told(Kind.PERMISSION_REFUSED)
        assert {event.merchant_id for event in events} == {self.bookshop.id}
        assert sum(event.after["count"] for event in events) == 3

    def test_a_merchant_that_is_not_the_callers_is_not_named(self) -> None:
        for merchant_id in (self.bookshop.id, "x" * 200, "%00"):
            path = f"/auth/verify?permission=pix:read&merchant_id={merchant_id}"
            assert self.get(path, self.otto).status_code == 403
        (event,) = told(Kind.PERMISSION_REFUSED)
        assert (event.merchant_id, event.after["count"]) == (self.bakery.id, 3)

    def test_an_owner_finds_them_in_the_merchants_trail(self) -> None:
        self.get("/users", self.otto)
        told(Kind.PERMISSION_REFUSED)
        path = f"/merchants/{self.bakery.id}/audit-events?kind=permission.refused"
        (event,) = self.data(self.get(path, self.olga))
        assert event["actor_id"] == self.otto.id

    def test_a_refusal_costs_no_query_more(self) -> None:
        self.get("/users", self.otto)  # whoever asked once may be remembered
        tallies.forget()
        counts = []
        handlers = (
            "fluxiq.error_handlers.drf_exception_handler",
            "authn.refusals.exception_handler",
        )
        for handler in handlers:
            with (
                self.settings(REST_FRAMEWORK=self.handled_by(handler)),
                CaptureQueriesContext(connection) as queries,
            ):
                assert self.get("/users", self.otto).status_code == 403
            counts.append(len(queries))
        assert counts[0] == counts[1], counts
        assert len(told(Kind.PERMISSION_REFUSED)) == 1

    def handled_by(self, handler: str) -> dict[str, Any]:
        return {**settings.REST_FRAMEWORK, "EXCEPTION_HANDLER": handler}

    def test_other_errors_are_none(self) -> None:
        self.get("/accounts/none", self.otto)
        self.get("/accounts", "sk_live_nonsense")
        self.get("/accounts", None)
        assert told(Kind.PERMISSION_REFUSED) == []
