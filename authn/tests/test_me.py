"""The caller about themselves: /auth/me, /auth/sessions, /auth/password."""

from typing import Any

from authn.models import Session
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.scopes import Role
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import PASSWORD, MembershipFactory, issue_key

NEW = "another long password"


class MeTests(ApiTestCase):
    def test_a_user_sees_their_merchants_with_permissions_as_granted(self) -> None:
        MembershipFactory.create(merchant=self.bookshop, user=self.olga, role=Role.MANAGER)
        me = self.data(self.get("/auth/me", self.olga))
        assert me == {
            "kind": "user",
            "id": self.olga.id,
            "name": "Olga",
            "memberships": [
                {
                    "merchant_id": self.bakery.id,
                    "merchant_name": "Padaria Aurora",
                    "role": "owner",
                    "permissions": ["*"],
                },
                {
                    "merchant_id": self.bookshop.id,
                    "merchant_name": "Livraria Borges",
                    "role": "manager",
                    "permissions": ["accounts:*", "transactions:read", "pix:*"],
                },
            ],
        }

    def test_a_key_sees_its_merchant_without_a_role(self) -> None:
        api_key, secret = issue_key(self.bakery, "pix:write", name="Till")
        assert self.data(self.get("/auth/me", secret)) == {
            "kind": "api_key",
            "id": api_key.id,
            "name": "Till",
            "memberships": [
                {
                    "merchant_id": self.bakery.id,
                    "merchant_name": "Padaria Aurora",
                    "role": None,
                    "permissions": ["pix:write"],
                }
            ],
        }

    def test_nobody_is_401(self) -> None:
        self.assert_unauthorized(self.get("/auth/me"))

    def test_a_role_that_changed_holds_at_the_next_request(self) -> None:
        self.bearer(self.otto)
        membership = self.membership(self.otto)
        self.data(self.patch(f"/users/{membership.id}", self.olga, {"role": "manager"}))
        (shown,) = self.data(self.get("/auth/me", self.otto))["memberships"]
        assert shown["role"] == "manager"

    def test_a_deactivated_user_is_refused_at_the_next_request_and_for_good(self) -> None:
        pair = self.sign_in(self.otto)
        self.otto.deactivate()
        self.assert_unauthorized(self.get("/auth/me", pair.access_token))
        self.otto.reactivate()
        self.assert_unauthorized(self.get("/auth/me", pair.access_token))
        assert self.get("/auth/me", self.otto).status_code == 200


class SessionTests(ApiTestCase):
    def test_a_list_shows_ones_own_live_sessions(self) -> None:
        other = self.sign_in(self.olga)
        self.sign_in(self.ana)
        rows = self.data(self.get("/auth/sessions", self.olga))
        assert len(rows) == 2
        assert [row["current"] for row in rows] == [True, False]
        assert sorted(rows[0]) == [
            "address", "created_at", "current", "expires_at", "id", "last_used_at", "user_agent",
        ]  # fmt: skip
        assert (rows[1]["address"], rows[1]["user_agent"]) == ("127.0.0.1", "tests")
        self.post("/auth/logout", other.access_token)
        assert len(self.data(self.get("/auth/sessions", self.olga))) == 1

    def test_one_session_can_be_ended(self) -> None:
        other = self.sign_in(self.olga)
        session = Session.objects.get(user=self.olga)
        assert self.delete(f"/auth/sessions/{session.id}", self.olga).status_code == 204
        self.assert_unauthorized(self.get("/auth/me", other.access_token))
        assert self.get("/auth/me", self.olga).status_code == 200

    def test_anothers_or_an_ended_session_is_404(self) -> None:
        self.sign_in(self.ana)
        foreign = Session.objects.get(user=self.ana)
        self.assert_not_found(self.delete(f"/auth/sessions/{foreign.id}", self.olga))
        for no_id in ("x", "%00", "ses_01HQGX3VJ8Z5Y6W7T8R9QPNM0K"):
            self.assert_not_found(self.delete(f"/auth/sessions/{no_id}", self.olga))
        foreign.refresh_from_db()
        assert foreign.ended_at is None

    def test_all_can_be_ended_this_one_too(self) -> None:
        other = self.sign_in(self.olga)
        bystander = self.sign_in(self.ana)
        assert self.delete("/auth/sessions", self.olga).status_code == 204
        self.assert_unauthorized(self.get("/auth/me", self.olga))
        self.assert_unauthorized(self.get("/auth/me", other.access_token))
        assert self.get("/auth/me", bystander.access_token).status_code == 200

    def test_a_key_is_the_wrong_kind_of_credential(self) -> None:
        _, secret = issue_key(self.bakery)
        self.assert_forbidden(self.get("/auth/sessions", secret), None)
        self.assert_forbidden(self.delete("/auth/sessions", secret), None)
        self.assert_forbidden(self.delete("/auth/sessions/x", secret), None)


class PasswordTests(ApiTestCase):
    def change(self, current: Any = PASSWORD, new: Any = NEW) -> Any:
        return self.post(
            "/auth/password", self.olga, {"current_password": current, "new_password": new}
        )

    def sign_in_with(self, password: str) -> int:
        body = {"document": self.olga.document, "password": password}
        status: int = self.post("/auth/login", None, body).status_code
        return status

    def test_the_new_password_signs_in_and_the_old_does_not(self) -> None:
        assert self.change().status_code == 204
        assert self.sign_in_with(NEW) == 200
        assert self.sign_in_with(PASSWORD) == 401

    def test_all_other_sessions_are_over_and_this_one_goes_on(self) -> None:
        other = self.sign_in(self.olga)
        self.change()
        self.assert_unauthorized(self.get("/auth/me", other.access_token))
        assert self.get("/auth/me", self.olga).status_code == 200

    def test_a_wrong_current_password_is_400_and_changes_nothing(self) -> None:
        self.assert_invalid(self.change(current="wrong password"), "current_password")
        assert self.sign_in_with(PASSWORD) == 200

    def test_an_unfit_new_password_is_refused(self) -> None:
        for unfit in ("short", "x" * 11, "x" * 1025, "qwerty123456", "a\x00" * 8, None, 5, ""):
            self.assert_invalid(self.change(new=unfit), "new_password")
        assert self.change(new="x" * 12).status_code == 204

    def test_a_change_is_audited_without_the_password(self) -> None:
        self.change()
        event = AuditEvent.objects.get(kind=Kind.PASSWORD_CHANGED)
        assert (event.actor_id, event.object_id) == (self.olga.id, self.olga.id)
        assert NEW not in repr(event.__dict__)

    def test_guessing_the_current_password_is_throttled(self) -> None:
        for _ in range(5):
            self.change(current="wrong password")
        error = self.error(self.change(), 429)
        assert error["code"] == "RATE_LIMITED"

    def test_a_key_is_the_wrong_kind_of_credential(self) -> None:
        _, secret = issue_key(self.bakery)
        body = {"current_password": PASSWORD, "new_password": NEW}
        self.assert_forbidden(self.post("/auth/password", secret, body), None)
