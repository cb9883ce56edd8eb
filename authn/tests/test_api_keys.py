"""The API keys of a merchant: issued, listed, changed, revoked; and what they open."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from authn import keys, usage
from authn.models import ApiKey
from fluxiq import counters
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.errors import Forbidden
from fluxiq.principals import Grant, Principal
from fluxiq.principals import Kind as CallerKind
from fluxiq.scopes import Scope
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import issue_key
from merchants.models import forbid_granting_beyond

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


class IssueTests(ApiKeyTestCase):
    def test_an_owner_gets_the_key_once(self) -> None:
        answer = self.data(self.issue(), 201)
        assert sorted(answer) == sorted([*FIELDS, "key"])
        assert keys.is_well_formed(answer["key"], "live")
        assert answer["hint"] == f"sk_live_…{answer['key'][-4:]}"
        assert answer["created_by"] == self.olga.id
        shown = self.data(self.get(f"{self.path}/{answer['id']}", self.olga))
        assert sorted(shown) == FIELDS

    def test_a_superuser_may_issue_at_any_merchant(self) -> None:
        assert self.issue(self.root).status_code == 201

    def test_members_without_the_permission_and_strangers_may_not(self) -> None:
        self.assert_forbidden(self.issue(self.mario), "api_keys:write")
        self.assert_forbidden(self.issue(self.otto), "api_keys:write")
        self.assert_not_found(self.issue(self.ana))
        self.assert_not_found(self.issue(self.sam))
        self.assert_unauthorized(self.post(self.path, None, self.body))

    def test_keys_never_manage_keys(self) -> None:
        api_key, secret = issue_key(self.bakery, *ApiKey.GRANTABLE)
        one = f"{self.path}/{api_key.id}"
        for method, path, permission in (
            ("POST", self.path, "api_keys:write"),
            ("GET", self.path, "api_keys:read"),
            ("GET", one, "api_keys:read"),
            ("PATCH", one, "api_keys:write"),
            ("DELETE", one, "api_keys:write"),
            ("POST", f"{one}/rotate", "api_keys:write"),
        ):
            self.assert_forbidden(self.call(method, path, secret, self.body), permission)

    def test_nobody_grants_more_than_they_hold(self) -> None:
        manager = Principal(
            CallerKind.USER, self.mario.id, "Mario",
            (Grant(self.bakery.id, "Padaria", "manager", ("api_keys:write", "pix:*")),),
        )  # fmt: skip
        forbid_granting_beyond(manager, self.bakery.id, ["pix:read", "pix:*"])
        with pytest.raises(Forbidden) as refused:
            forbid_granting_beyond(manager, self.bakery.id, ["pix:read", "users:read", "pix:*"])
        assert refused.value.extra == {"required_permission": "users:read"}

    def test_a_merchant_that_does_not_exist_is_404(self) -> None:
        for merchant_id in ("mer_01HQGX3VJ8Z5Y6W7T8R9QPNM0K", "nonsense", "%00", "acc_x"):
            path = f"/merchants/{merchant_id}/api-keys"
            self.assert_not_found(self.post(path, self.olga, self.body))
            self.assert_not_found(self.post(path, self.root, self.body))

    def test_the_secret_stands_in_no_column(self) -> None:
        secret = self.data(self.issue(), 201)["key"]
        tables = connection.introspection.table_names()
        with connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
                assert secret not in repr(cursor.fetchall()), table

    def test_at_rest_stands_an_hmac_under_the_pepper(self) -> None:
        answer = self.data(self.issue(), 201)
        stored = ApiKey.objects.get(pk=answer["id"])
        pepper = keys.Pepper("test-1", b"pepper-of-the-tests-alone-0123456789")
        assert bytes(stored.digest) == pepper.digest(answer["key"])
        assert stored.pepper_id == "test-1"

    def test_unfit_permissions_are_refused(self) -> None:
        unfit: tuple[Any, ...] = (
            [], ["*"], ["pix:*"], ["pix:read", "pix:read"], ["api_keys:read"], ["audit:read"],
            ["tokens:introspect"], ["nope:read"], "accounts:read", None, [1], [None], {}, [[]],
        )  # fmt: skip
        for permissions in unfit:
            response = self.issue(permissions=permissions)
            assert response.status_code == 400, permissions
            details = json.loads(response.content)["error"]["details"]
            assert all(name.startswith("permissions") for name in details), details
        assert ApiKey.objects.count() == 0

    def test_every_scope_of_the_catalogue_can_be_granted(self) -> None:
        answer = self.data(self.issue(permissions=[str(s) for s in Scope]), 201)
        assert answer["permissions"] == [str(s) for s in Scope]

    def test_other_unfit_fields_are_refused_by_name(self) -> None:
        past = (timezone.now() - timedelta(seconds=1)).isoformat()
        unfit: dict[str, tuple[Any, ...]] = {
            "name": (None, 5, "", "   ", "x" * 300, "a\x00", "\ud800", [], {}),
            "expires_at": (past, "tomorrow", 5, True, [], "9999-12-31T23:59:59-23:59", ""),
            "allowed_ips": ("10.0.0.0/8", ["10.0.0.1/8"], ["nope"], [1], None, ["::/129"], [""]),
            "rate_limit": (5,),
            "permisions": (["accounts:read"],),
            "merchant_id": (self.bakery.id,),
        }
        for field, values in unfit.items():
            for value in values:
                response = self.issue(**{field: value})
                assert response.status_code == 400, (field, value, response.content)
                details = json.loads(response.content)["error"]["details"]
                assert all(name.split(".")[0] == field for name in details), details
        assert ApiKey.objects.count() == 0

    def test_expiry_and_addresses_are_kept(self) -> None:
        moment = (timezone.now() + timedelta(days=90)).replace(microsecond=0)
        answer = self.data(
            self.issue(expires_at=moment.isoformat(), allowed_ips=["10.0.0.0/8", "2001:db8::1"]),
            201,
        )
        assert answer["expires_at"] == moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        assert answer["allowed_ips"] == ["10.0.0.0/8", "2001:db8::1/128"]

    def test_a_time_without_zone_is_utc(self) -> None:
        moment = (timezone.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S")
        assert self.data(self.issue(expires_at=moment), 201)["expires_at"] == moment + "Z"

    def test_issuing_is_audited_without_the_secret(self) -> None:
        answer = self.data(self.issue(), 201)
        event = AuditEvent.objects.get(kind=Kind.API_KEY_ISSUED)
        assert (event.actor_id, event.object_id) == (self.olga.id, answer["id"])
        assert answer["key"] not in repr(event.__dict__)


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


class UseTests(ApiKeyTestCase):
    def test_a_key_acts_for_its_merchant_alone(self) -> None:
        _, secret = issue_key(self.bakery)
        assert [a["id"] for a in self.data(self.get("/accounts", secret))] == [self.till.id]
        self.assert_not_found(self.get(f"/accounts/{self.shelf.id}", secret))

    def test_a_key_outlives_the_membership_of_who_made_it(self) -> None:
        secret = self.data(self.issue(), 201)["key"]
        self.olga.deactivate()
        assert self.get("/accounts", secret).status_code == 200

    def test_a_suspended_merchants_keys_are_401_until_it_is_resumed(self) -> None:
        _, secret = issue_key(self.bakery)
        self.bakery.suspend()
        self.assert_unauthorized(self.get("/accounts", secret))
        self.bakery.resume()
        assert self.get("/accounts", secret).status_code == 200

    def test_last_use_is_noted_with_its_address_and_never_moves_backwards(self) -> None:
        api_key, secret = issue_key(self.bakery)
        now = timezone.now()
        for ago, address in ((0, "203.0.113.5"), (5, "203.0.113.6"), (-1, "203.0.113.7")):
            with self.at(now - timedelta(minutes=ago)):
                self.get("/accounts", secret, REMOTE_ADDR=address)
            usage.flush()
            api_key.refresh_from_db()
            if ago == 5:
                assert api_key.last_used_at == now
                assert api_key.last_used_address == "203.0.113.5"
        assert api_key.last_used_at == now + timedelta(minutes=1)
        assert api_key.last_used_address == "203.0.113.7"

    def test_a_used_key_costs_no_write_and_no_more_reads_than_it_must(self) -> None:
        _, secret = issue_key(self.bakery)
        self.get("/accounts", secret)
        page, key_with_its_merchant = 1, 1
        is_remembered = counters.of_requests().memory is not None
        with self.assertNumQueries(page + (0 if is_remembered else key_with_its_merchant)):
            self.get("/accounts", secret)

    def test_a_key_that_cannot_be_ours_costs_no_query(self) -> None:
        _, secret = issue_key(self.bakery)
        flipped = secret[:-1] + ("0" if secret[-1] != "0" else "1")
        test_key = keys.generate("test")
        for wrong in (flipped, test_key, "sk_live_short", "sk_", secret + "0", secret.upper()):
            with self.assertNumQueries(0):
                self.assert_unauthorized(self.get("/accounts", wrong))

    def test_an_older_pepper_verifies_and_the_key_moves_to_the_newest(self) -> None:
        api_key, secret = issue_key(self.bakery)
        ring = "new:a-newer-pepper-0123456789abcdef,test-1:pepper-of-the-tests-alone-0123456789"
        with self.settings(API_KEY_PEPPERS=ring):
            assert self.get("/accounts", secret).status_code == 200
            api_key.refresh_from_db()
            assert api_key.pepper_id == "new"
        with self.settings(API_KEY_PEPPERS="new:a-newer-pepper-0123456789abcdef"):
            assert self.get("/accounts", secret).status_code == 200
        self.assert_unauthorized(self.get("/accounts", secret))
