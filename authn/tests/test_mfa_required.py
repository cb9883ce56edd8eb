"""Who needs a second factor: superusers and staff by setting, members by their merchant."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core import checks
from django.test import override_settings

from accounts.models import User
from authn.mfa import factors
from authn.models import Session
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.scopes import Role
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import PASSWORD, Phone, enrol, issue_key, join
from merchants.models import Merchant

PATH = "/merchants/{}/security"


@override_settings(RATE_LIMIT_ANONYMOUS=(10_000, 60), RATE_LIMIT_JWT=(10_000, 60))
class RequiringMerchantTests(ApiTestCase):
    def path(self, merchant: Merchant | None = None) -> str:
        return PATH.format((merchant or self.bakery).id)

    def require(self, required: Any = True, caller: Any = None) -> Any:
        return self.patch(self.path(), caller or self.olga, {"require_mfa": required})

    @contextmanager
    def required(self) -> Iterator[None]:
        """The bakery requires it; olga, who did that, has one."""
        enrol(self.olga)
        assert self.data(self.require())["require_mfa"] is True
        yield

    def enrol_by_api(self, user: User) -> None:
        proposed = self.data(self.post("/auth/mfa/enrol", user, {"current_password": PASSWORD}))
        code = Phone(proposed["secret"], ()).code()
        self.data(self.post("/auth/mfa/confirm", user, {"code": code}))

    def test_it_is_off_until_an_owner_says_so(self) -> None:
        assert self.data(self.get(self.path(), self.olga)) == {
            "require_mfa": False,
            "members_without_mfa": 3,
        }

    def test_an_owner_without_one_cannot_require_it(self) -> None:
        error = self.error(self.require(), 409)
        assert error["message"] == "Enrol a second factor of your own first"
        assert self.data(self.require(required=False))["require_mfa"] is False

    def test_requiring_it_ends_sessions_of_members_without(self) -> None:
        enrol(self.otto)
        for user in (self.olga, self.mario, self.otto, self.ana):
            self.data(self.get("/auth/me", user))
        enrol(self.olga)
        self._tokens.pop(self.olga.pk)
        assert self.data(self.require()) == {"require_mfa": True, "members_without_mfa": 1}
        self.assert_unauthorized(self.get("/auth/me", self.mario))
        for user in (self.olga, self.otto, self.ana):
            assert self.get("/auth/me", user).status_code == 200
        ended = Session.objects.get(user=self.mario)
        assert ended.ended_reason == "second factor required by a merchant"

    def test_a_member_without_signs_in_and_holds_nothing_there(self) -> None:
        with self.required():
            body = {"document": self.mario.document, "password": PASSWORD}
            token = self.data(self.post("/auth/login", None, body))["access_token"]
            me = self.data(self.get("/auth/me", token))
            assert [(m["merchant_id"], m["permissions"]) for m in me["memberships"]] == [
                (self.bakery.id, [])
            ]
            self.assert_forbidden(self.get("/accounts", token), "accounts:read")
            self.assert_forbidden(self.get(f"/accounts/{self.till.id}", token), "accounts:read")
            self.assert_forbidden(self.get(f"/merchants/{self.bakery.id}", token), None)
            verify = self.get("/auth/verify?permission=accounts:read", token)
            self.assert_forbidden(verify, "accounts:read")

    def test_other_merchants_of_theirs_are_not_touched(self) -> None:
        join(self.bookshop, self.mario, Role.OPERATOR)
        with self.required():
            self._tokens.clear()
            shown = self.data(self.get("/accounts", self.mario))
            assert [account["id"] for account in shown] == [self.shelf.id]

    def test_enrolling_opens_it_at_the_next_request(self) -> None:
        with self.required():
            self._tokens.pop(self.mario.pk, None)
            self.assert_forbidden(self.get("/accounts", self.mario), "accounts:read")
            self.enrol_by_api(self.mario)
            assert self.data(self.get("/accounts", self.mario))
            assert self.data(self.get(self.path(), self.olga))["members_without_mfa"] == 1

    def test_no_longer_requiring_it_opens_it_at_the_next_request(self) -> None:
        with self.required():
            self._tokens.pop(self.mario.pk, None)
            self.assert_forbidden(self.get("/accounts", self.mario), "accounts:read")
            self.data(self.require(required=False))
            assert self.data(self.get("/accounts", self.mario))

    def test_a_lost_factor_that_is_reset_shuts_it_at_the_next_sign_in(self) -> None:
        with self.required():
            enrol(self.mario)
            self._tokens.pop(self.mario.pk, None)
            assert self.data(self.get("/accounts", self.mario))
            factors.reset(self.mario, "lost")
            self._tokens.pop(self.mario.pk)
            self.assert_forbidden(self.get("/accounts", self.mario), "accounts:read")

    def test_a_new_member_needs_it_too(self) -> None:
        with self.required():
            join(self.bakery, self.ana, Role.MANAGER)
            assert self.data(self.get("/accounts", self.ana))[0]["id"] == self.shelf.id
            query = f"/accounts?merchant_id={self.bakery.id}"
            self.assert_forbidden(self.get(query, self.ana), "accounts:read")

    def test_api_keys_go_on(self) -> None:
        _, secret = issue_key(self.bakery)
        with self.required():
            assert self.data(self.get("/accounts", secret))

    def test_a_member_cannot_remove_theirs_where_it_is_required(self) -> None:
        with self.required():
            phone = enrol(self.mario)
            self._tokens.pop(self.mario.pk, None)
            assert self.data(self.get("/auth/mfa", self.mario))["mandatory"] is True
            body = {"current_password": PASSWORD, "code": phone.code()}
            self.error(self.call("DELETE", "/auth/mfa", self.mario, body), 409)
            self.mario.refresh_from_db()
            assert self.mario.has_second_factor

    def test_only_owners_see_and_say_it(self) -> None:
        _, secret = issue_key(self.bakery)
        for method in ("GET", "PATCH"):
            for user in (self.mario, self.otto):
                response = self.call(method, self.path(), user, {"require_mfa": False})
                self.assert_forbidden(response, "*")
            response = self.call(method, self.path(), self.ana, {"require_mfa": False})
            self.assert_not_found(response)
            self.assert_forbidden(self.call(method, self.path(), secret, {}), None)
            assert (
                self.call(method, self.path(), self.root, {"require_mfa": False}).status_code == 200
            )

    def test_it_is_audited_at_the_merchant_once(self) -> None:
        with self.required():
            self.data(self.require())
        event = AuditEvent.objects.get(kind=Kind.MERCHANT_CHANGED)
        assert event.merchant_id == self.bakery.id
        assert (event.before, event.after) == ({"require_mfa": False}, {"require_mfa": True})

    def test_a_wrong_body_names_the_field(self) -> None:
        unfit: tuple[Any, ...] = (None, "true", 1, [], {})
        for value in unfit:
            self.assert_invalid(self.require(value), "require_mfa")
        self.assert_invalid(self.patch(self.path(), self.olga, {"mfa": True}), "mfa")


@override_settings(MFA_REQUIRED_FOR_SUPERUSERS=True, RATE_LIMIT_ANONYMOUS=(10_000, 60))
class RequiredOfSuperusersTests(ApiTestCase):
    def login(self, user: User) -> Any:
        body = {"document": user.document, "password": PASSWORD}
        return self.post("/auth/login", None, body)

    def test_one_without_gets_no_token_and_is_told_where_to_enrol(self) -> None:
        assert self.error(self.login(self.root), 403) == {
            "code": "MFA_REQUIRED",
            "message": "A second factor is required. Sign in at the staff console to enrol one",
            "challenge": None,
            "expires_in": None,
            "enrol_at": "/admin/",
        }
        assert not Session.objects.exists()

    def test_one_who_has_it_signs_in_with_it_and_holds_all(self) -> None:
        phone = enrol(self.root)
        challenge = self.error(self.login(self.root), 403)["challenge"]
        body = {"challenge": challenge, "code": phone.code()}
        token = self.data(self.post("/auth/login/mfa", None, body))["access_token"]
        assert len(self.data(self.get("/accounts", token))) == 2

    def test_others_sign_in_as_before(self) -> None:
        for user in (self.olga, self.sam):
            assert self.login(user).status_code == 200

    def test_a_session_from_before_holds_no_more_than_its_memberships(self) -> None:
        join(self.bakery, self.root, Role.OPERATOR)
        shown = self.data(self.get("/accounts", self.root))
        assert [account["id"] for account in shown] == [self.till.id]
        self.assert_not_found(self.get(f"/merchants/{self.bookshop.id}", self.root))

    def test_they_cannot_remove_it(self) -> None:
        phone = enrol(self.root)
        body = {"current_password": PASSWORD, "code": phone.code()}
        self.error(self.call("DELETE", "/auth/mfa", self.root, body), 409)

    def test_where_it_is_not_required_a_password_does(self) -> None:
        with override_settings(MFA_REQUIRED_FOR_SUPERUSERS=False):
            assert self.login(self.root).status_code == 200


@override_settings(MFA_REQUIRED_FOR_STAFF=True)
class RequiredOfStaffTests(ApiTestCase):
    def test_the_status_says_so_and_they_cannot_remove_it(self) -> None:
        phone = enrol(self.sam)
        assert self.data(self.get("/auth/mfa", self.sam))["mandatory"] is True
        body = {"current_password": PASSWORD, "code": phone.code()}
        self.error(self.call("DELETE", "/auth/mfa", self.sam, body), 409)

    def test_of_others_nothing_is_required(self) -> None:
        assert self.data(self.get("/auth/mfa", self.olga))["mandatory"] is False


class SecondFactorCheckTests(ApiTestCase):
    def found(self, **options: Any) -> dict[str | None, str]:
        return {message.id: message.msg for message in checks.run_checks(**options)}

    def test_a_deployment_is_warned_where_a_password_alone_does(self) -> None:
        options = {"tags": [checks.Tags.security], "include_deployment_checks": True}
        with override_settings(MFA_REQUIRED_FOR_STAFF=False, MFA_REQUIRED_FOR_SUPERUSERS=False):
            assert {"fluxiq.W010", "fluxiq.W011"} <= set(self.found(**options))
        with override_settings(MFA_REQUIRED_FOR_STAFF=True, MFA_REQUIRED_FOR_SUPERUSERS=True):
            assert not {"fluxiq.W010", "fluxiq.W011"} & set(self.found(**options))

    def test_a_ring_that_cannot_be_used_is_an_error(self) -> None:
        with override_settings(MFA_KEYS="k1:short"):
            found = self.found(tags=[checks.Tags.security])
        assert found["fluxiq.E010"] == "MFA_KEYS: the secret of entry 1 has under 32 bytes."

    def test_a_key_that_second_factors_need_may_not_go(self) -> None:
        enrol(self.olga)
        factors.enrol_without_one(self.mario.pk)  # not confirmed: nothing is lost with it
        options = {"tags": [checks.Tags.database], "databases": ["default"]}
        assert "fluxiq.E011" not in self.found(**options)
        with override_settings(MFA_KEYS=f"other:{'n' * 32}"):
            assert self.found(**options)["fluxiq.E011"] == (
                "1 second factors are sealed under the key test-1, which is gone."
            )
