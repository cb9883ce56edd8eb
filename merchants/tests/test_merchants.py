"""GET /merchants and /merchants/{id}: one's own merchants, and what a suspension stops."""

import re
from typing import Any
from unittest import mock

import pytest
from django.core.exceptions import ValidationError
from django.db.models import ProtectedError

from accounts.documents import InvalidDocument
from authn.models import ApiKey
from fluxiq.audit import models as audit
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.errors import Conflict
from fluxiq.scopes import Role, Scope
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import issue_key, join
from merchants.models import Membership, Merchant

FIELDS = ["created_at", "document", "id", "name", "status"]
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


class ListTests(ApiTestCase):
    def listed(self, caller: Any) -> list[str]:
        return [merchant["id"] for merchant in self.data(self.get("/merchants", caller))]

    def test_each_caller_sees_their_own_alone(self) -> None:
        for member in (self.olga, self.mario, self.otto):
            assert self.listed(member) == [self.bakery.id]
        assert self.listed(self.ana) == [self.bookshop.id]
        assert self.listed(issue_key(self.bookshop, Scope.PIX_READ)[1]) == [self.bookshop.id]

    def test_a_superuser_sees_all_newest_first(self) -> None:
        assert self.listed(self.root) == sorted([self.bakery.id, self.bookshop.id], reverse=True)

    def test_staff_without_memberships_and_service_keys_see_none(self) -> None:
        assert self.listed(self.sam) == []
        assert self.listed(ApiKey.objects.issue_service_key(name="Ledger")[1]) == []

    def test_a_member_of_two_sees_both(self) -> None:
        join(self.bookshop, self.otto, Role.OPERATOR)
        assert sorted(self.listed(self.otto)) == sorted([self.bakery.id, self.bookshop.id])

    def test_what_an_inactive_or_ended_membership_was_of_is_gone(self) -> None:
        Membership.objects.filter(user=self.otto).update(status=Membership.Status.INACTIVE)
        assert self.listed(self.otto) == []
        Membership.objects.filter(user=self.mario).delete()
        assert self.listed(self.mario) == []

    def test_nobody_is_401(self) -> None:
        self.assert_unauthorized(self.get("/merchants"))

    def test_nobody_makes_a_merchant_over_the_api(self) -> None:
        assert self.post("/merchants", self.root, {"name": "x"}).status_code == 405


class ShownTests(ApiTestCase):
    def test_it_has_exactly_the_documented_fields(self) -> None:
        Merchant.objects.filter(pk=self.bakery.pk).update(document="12ABC34501DE35")
        shown = self.data(self.get(f"/merchants/{self.bakery.id}", self.otto))
        assert sorted(shown) == FIELDS
        assert shown["id"] == self.bakery.id
        assert shown["name"] == "Padaria Aurora"
        assert shown["document"] == "**.ABC.345/01DE-**"
        assert shown["status"] == "active"
        assert TIME.fullmatch(shown["created_at"])

    def test_the_list_shows_the_same(self) -> None:
        shown = self.data(self.get(f"/merchants/{self.bakery.id}", self.otto))
        assert self.data(self.get("/merchants", self.otto)) == [shown]

    def test_the_document_stands_in_no_answer(self) -> None:
        for path in ("/merchants", f"/merchants/{self.bakery.id}"):
            assert self.bakery.document not in self.get(path, self.olga).content.decode()

    def test_it_cannot_be_changed_or_removed_over_the_api(self) -> None:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            path = f"/merchants/{self.bakery.id}"
            assert self.call(method, path, self.root, {"name": "x"}).status_code == 405

    def test_what_is_no_identifier_is_404(self) -> None:
        for bad in ("nonsense", "%00", "mer_", self.bakery.id.lower(), self.bakery.id + "%00",
                    self.till.id, "x" * 2000, "%F0%9F%8D%9E", "%ED%A0%80", "None"):  # fmt: skip
            for caller in (self.root, self.olga, issue_key(self.bakery)[1]):
                self.assert_not_found(self.get(f"/merchants/{bad}", caller))


class SuspensionTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.secret = issue_key(self.bakery, *Scope)[1]
        for caller in (self.olga, self.otto, self.secret):
            assert self.get("/accounts", caller).status_code == 200
        self.bakery.suspend()

    def test_its_keys_are_401_at_the_next_request(self) -> None:
        for path in ("/accounts", "/merchants", "/auth/me", f"/merchants/{self.bakery.id}"):
            self.assert_unauthorized(self.get(path, self.secret))

    def test_its_members_are_403_there(self) -> None:
        olgas = self.membership(self.olga).id
        for method, path, permission in (
            ("GET", f"/accounts/{self.till.id}", "accounts:read"),
            ("PATCH", f"/accounts/{self.till.id}", "accounts:write"),
            ("GET", "/accounts", "accounts:read"),
            ("GET", f"/accounts?merchant_id={self.bakery.id}", "accounts:read"),
            ("GET", "/users", "users:read"),
            ("GET", f"/users/{olgas}", "users:read"),
            ("PATCH", f"/users/{olgas}", "users:write"),
            ("DELETE", f"/users/{olgas}", "users:write"),
            ("GET", f"/merchants/{self.bakery.id}/api-keys", "api_keys:read"),
        ):
            response = self.call(method, path, self.olga, {} if method == "PATCH" else None)
            self.assert_forbidden(response, permission)
        self.assert_forbidden(self.post("/accounts", self.olga, {"name": "x"}), "accounts:write")
        self.assert_forbidden(self.get(f"/merchants/{self.bakery.id}", self.olga), None)

    def test_a_superuser_is_still_served(self) -> None:
        assert self.get(f"/accounts/{self.till.id}", self.root).status_code == 200
        shown = self.data(self.get(f"/merchants/{self.bakery.id}", self.root))
        assert shown["status"] == "suspended"
        body = {"name": "Seized", "merchant_id": self.bakery.id}
        assert self.post("/accounts", self.root, body).status_code == 201
        assert self.delete(f"/users/{self.membership(self.otto).id}", self.root).status_code == 204

    def test_strangers_still_see_a_404(self) -> None:
        self.assert_not_found(self.get(f"/accounts/{self.till.id}", self.ana))
        self.assert_not_found(self.get(f"/merchants/{self.bakery.id}", self.ana))

    def test_elsewhere_its_members_are_served(self) -> None:
        join(self.bookshop, self.olga, Role.OPERATOR)
        rows = self.data(self.get("/accounts", self.olga))
        assert [row["id"] for row in rows] == [self.shelf.id]
        self.assert_forbidden(self.get(f"/accounts/{self.till.id}", self.olga), "accounts:read")

    def test_members_can_still_sign_in_and_out(self) -> None:
        assert self.get("/auth/me", self.olga).status_code == 200
        assert self.post("/auth/logout", self.olga).status_code == 204

    def test_resumed_everything_goes_on(self) -> None:
        self.bakery.resume()
        assert self.get("/accounts", self.olga).status_code == 200
        assert self.get("/accounts", self.secret).status_code == 200

    def test_each_is_recorded_once(self) -> None:
        self.bakery.suspend()
        Merchant.objects.get(pk=self.bakery.pk).suspend()
        self.bakery.resume()
        self.bakery.resume()
        events = AuditEvent.objects.filter(object_id=self.bakery.id).exclude(
            kind=Kind.MERCHANT_CREATED
        )
        kinds = [str(event.kind) for event in events.order_by("id")]
        assert sorted(kinds) == ["merchant.resumed", "merchant.suspended"]
        assert {event.merchant_id for event in events} == {self.bakery.id}

    def test_a_suspension_that_cannot_be_recorded_does_not_happen(self) -> None:
        with (
            mock.patch.object(audit, "record", side_effect=RuntimeError),
            pytest.raises(RuntimeError),
        ):
            self.bookshop.suspend()
        assert not Merchant.objects.get(pk=self.bookshop.pk).is_suspended


class OpenTests(ApiTestCase):
    def test_it_is_made_with_its_bare_document_and_one_event(self) -> None:
        merchant = Merchant.objects.open("Kiosk", "12.abc.345/01de-35")
        assert Merchant.objects.get(pk=merchant.pk).document == "12ABC34501DE35"
        event = AuditEvent.objects.get(object_id=merchant.id)
        assert (event.kind, event.merchant_id) == (Kind.MERCHANT_CREATED, merchant.id)
        assert event.after == {"name": "Kiosk", "document": merchant.masked_document}

    def test_a_person_may_be_a_merchant_too(self) -> None:
        assert Merchant.objects.open("MEI", self.olga.document).document == self.olga.document

    def test_a_document_that_is_taken_is_a_conflict_however_it_is_written(self) -> None:
        Merchant.objects.open("Kiosk", "12ABC34501DE35")
        before = AuditEvent.objects.count()
        for again in ("12.ABC.345/01DE-35", "12abc34501de35"):
            with pytest.raises(Conflict):
                Merchant.objects.open("Other", again)
        assert AuditEvent.objects.count() == before

    def test_what_is_no_document_makes_no_merchant(self) -> None:
        before = Merchant.objects.count()
        with pytest.raises(InvalidDocument):
            Merchant.objects.open("Kiosk", "123")
        assert Merchant.objects.count() == before

    def test_cleaning_one_normalises_or_is_a_validation_error(self) -> None:
        merchant = Merchant(name="Kiosk", document="123.456.789-01")
        merchant.full_clean()
        assert merchant.document == "12345678901"
        with pytest.raises(ValidationError) as caught:
            Merchant(name="Kiosk", document="123").full_clean()
        assert "document" in caught.value.message_dict

    def test_one_that_has_members_or_accounts_cannot_be_deleted(self) -> None:
        with pytest.raises(ProtectedError):
            self.bakery.delete()
        with pytest.raises(ProtectedError):
            self.olga.delete()
