"""POST /merchants/{id}/api-keys: who may issue what, and a secret that is told once."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from authn import keys
from authn.models import ApiKey
from authn.tests.merchant_keys import FIELDS, ApiKeyTestCase
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.errors import Forbidden
from fluxiq.principals import Grant, Principal
from fluxiq.principals import Kind as CallerKind
from fluxiq.scopes import Scope
from fluxiq.tests.factories import issue_key
from merchants.models import forbid_granting_beyond


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
