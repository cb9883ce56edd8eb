"""The API keys of a merchant: listed, changed and revoked."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from authn.models import ApiKey
from authn.tests.merchant_keys import FIELDS, ApiKeyTestCase
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.tests.factories import issue_key


class ListTests(ApiKeyTestCase):
    def test_a_list_shows_keys_dead_and_alive_newest_first(self) -> None:
        first, _ = issue_key(self.bakery)
        second, _ = issue_key(self.bakery)
        first.revoke()
        issue_key(self.bookshop)
        rows = self.data(self.get(self.path, self.olga))
        assert [row["id"] for row in rows] == sorted([first.id, second.id], reverse=True)
        assert all(sorted(row) == FIELDS for row in rows)

    def test_only_readers_of_keys_may_list(self) -> None:
        self.assert_forbidden(self.get(self.path, self.mario), "api_keys:read")
        self.assert_not_found(self.get(self.path, self.ana))

    def test_a_key_of_what_is_no_merchant_is_404(self) -> None:
        api_key, _ = issue_key(self.bakery)
        for merchant in ("mer_x", "x", api_key.id):
            self.assert_not_found(
                self.get(f"/merchants/{merchant}/api-keys/{api_key.id}", self.root)
            )

    def test_another_merchants_key_is_404_under_this_one(self) -> None:
        foreign, _ = issue_key(self.bookshop)
        for caller in (self.olga, self.root):
            self.assert_not_found(self.get(f"{self.path}/{foreign.id}", caller))
        self.assert_not_found(
            self.get(f"/merchants/{self.bookshop.id}/api-keys/{foreign.id}", self.olga)
        )

    def test_a_list_takes_a_constant_number_of_queries(self) -> None:
        api_key, _ = issue_key(self.bakery)
        api_key.rotate(timedelta(0))
        self.bearer(self.olga)
        with self.assertNumQueries(3):  # the session, its memberships, the page
            self.get(self.path, self.olga)


class ChangeTests(ApiKeyTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api_key, self.secret = issue_key(self.bakery, "accounts:read", "pix:read")
        self.one = f"{self.path}/{self.api_key.id}"

    def test_a_change_to_what_it_is_already_is_none(self) -> None:
        same = {"name": self.api_key.name}
        assert self.data(self.patch(self.one, self.olga, same))["name"] == self.api_key.name
        assert not AuditEvent.objects.filter(kind=Kind.API_KEY_CHANGED).exists()

    def test_narrowing_holds_at_the_next_request(self) -> None:
        assert self.get("/accounts", self.secret).status_code == 200
        answer = self.data(self.patch(self.one, self.olga, {"permissions": ["pix:read"]}))
        assert answer["permissions"] == ["pix:read"]
        self.assert_forbidden(self.get("/accounts", self.secret), "accounts:read")

    def test_an_address_list_holds_at_the_next_request(self) -> None:
        self.patch(self.one, self.olga, {"allowed_ips": ["203.0.113.0/24"]})
        self.assert_unauthorized(self.get("/accounts", self.secret, REMOTE_ADDR="198.51.100.1"))
        for inside in ("203.0.113.7", "::ffff:203.0.113.7"):
            assert self.get("/accounts", self.secret, REMOTE_ADDR=inside).status_code == 200
        self.assert_unauthorized(self.get("/accounts", self.secret, REMOTE_ADDR=""))

    def test_expiry_can_be_set_and_taken_away(self) -> None:
        moment = timezone.now() + timedelta(hours=1)
        self.patch(self.one, self.olga, {"expires_at": moment.isoformat()})
        with self.at(moment):
            self.assert_unauthorized(self.get("/accounts", self.secret))
        answer = self.data(self.patch(self.one, self.olga, {"expires_at": None}))
        assert answer["expires_at"] is None

    def test_the_rules_are_those_of_creation(self) -> None:
        unfit: tuple[dict[str, Any], ...] = (
            {"permissions": []},
            {"permissions": ["*"]},
            {"name": ""},
            {"key": "x"},
        )
        for body in unfit:
            response = self.patch(self.one, self.olga, body)
            self.assert_invalid(response, *body)

    def test_a_dead_key_cannot_be_changed(self) -> None:
        self.api_key.revoke()
        response = self.patch(self.one, self.olga, {"name": "Risen"})
        assert self.error(response, 409)["code"] == "CONFLICT"
        assert ApiKey.objects.get().name == "A key"

    def test_a_change_is_audited_with_before_and_after(self) -> None:
        self.patch(self.one, self.olga, {"name": "Till 2", "permissions": ["pix:read"]})
        event = AuditEvent.objects.get(kind=Kind.API_KEY_CHANGED)
        assert event.before == {"name": "A key", "permissions": ["accounts:read", "pix:read"]}
        assert event.after == {"name": "Till 2", "permissions": ["pix:read"]}

    def test_others_may_not_change_it(self) -> None:
        self.assert_forbidden(self.patch(self.one, self.mario, {"name": "x"}), "api_keys:write")
        self.assert_not_found(self.patch(self.one, self.ana, {"name": "x"}))


class RevokeTests(ApiKeyTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api_key, self.secret = issue_key(self.bakery)
        self.one = f"{self.path}/{self.api_key.id}"

    def test_a_revoked_key_is_refused_at_the_next_request(self) -> None:
        assert self.get("/accounts", self.secret).status_code == 200
        assert self.delete(self.one, self.olga).status_code == 204
        self.assert_unauthorized(self.get("/accounts", self.secret))

    def test_it_stays_in_the_list_with_its_end(self) -> None:
        self.delete(self.one, self.olga)
        assert self.data(self.get(self.one, self.olga))["revoked_at"] is not None

    def test_revoking_twice_is_204_and_audited_once(self) -> None:
        for _ in range(2):
            assert self.delete(self.one, self.olga).status_code == 204
        assert AuditEvent.objects.filter(kind=Kind.API_KEY_REVOKED).count() == 1

    def test_others_may_not_revoke_it(self) -> None:
        self.assert_forbidden(self.delete(self.one, self.otto), "api_keys:write")
        self.assert_not_found(self.delete(self.one, self.ana))
        assert self.get("/accounts", self.secret).status_code == 200
