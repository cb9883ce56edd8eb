"""/accounts: opened, listed, shown, renamed, blocked and closed; the balance is the ledger's."""

import json
import re
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from django.db import IntegrityError, connection

from fluxiq.audit import models as audit
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.scopes import Role, Scope
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import PaymentAccountFactory, issue_key
from merchants.models import Membership, PaymentAccount
from merchants.models.payment_account import new_account_number
from merchants.serializers import AccountSerializer

FIELDS = [
    "balance", "branch", "created_at", "currency", "id", "merchant_id", "name", "number", "status",
]  # fmt: skip
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


class AccountTestCase(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = f"/accounts/{self.till.id}"

    def rows(self, caller: Any, query: str = "") -> list[str]:
        return [row["id"] for row in self.data(self.get(f"/accounts{query}", caller))]

    def events(self) -> Any:
        return AuditEvent.objects.filter(
            kind__in=[Kind.ACCOUNT_OPENED, Kind.ACCOUNT_CHANGED]
        ).order_by("id")


class ShownTests(AccountTestCase):
    def test_it_has_exactly_the_documented_fields(self) -> None:
        PaymentAccount.objects.filter(pk=self.till.pk).update(balance=Decimal("1520.75"))
        shown = self.data(self.get(self.path, self.otto))
        assert sorted(shown) == FIELDS
        assert shown == {
            "id": self.till.id,
            "merchant_id": self.bakery.id,
            "name": "Till",
            "branch": "0001",
            "number": self.till.number,
            "currency": "BRL",
            "balance": "1520.75",
            "status": "active",
            "created_at": shown["created_at"],
        }
        assert TIME.fullmatch(shown["created_at"])

    def test_money_is_a_text_with_two_places(self) -> None:
        for value, shown in (
            ("0", "0.00"),
            ("0.1", "0.10"),
            ("7", "7.00"),
            ("-12.3", "-12.30"),
            ("999999999.99", "999999999.99"),
            ("1000000", "1000000.00"),
        ):
            PaymentAccount.objects.filter(pk=self.till.pk).update(balance=Decimal(value))
            assert self.data(self.get(self.path, self.olga))["balance"] == shown

    def test_the_largest_balance_that_fits_is_shown_to_the_cent(self) -> None:
        PaymentAccount.objects.filter(pk=self.till.pk).update(balance=Decimal("1234567890123.45"))
        assert self.data(self.get(self.path, self.olga))["balance"] == "1234567890123.45"

    def test_what_is_no_identifier_is_404(self) -> None:
        for bad in ("nonsense", "%00", self.till.id + "%00", self.till.id.lower(), self.bakery.id,
                    "acc_", "x" * 2000, "%ED%A0%80", "-1"):  # fmt: skip
            for method in ("GET", "PATCH"):
                response = self.call(method, f"/accounts/{bad}", self.root, {})
                self.assert_not_found(response)

    def test_an_account_cannot_be_deleted(self) -> None:
        assert self.delete(self.path, self.root).status_code == 405


class ListTests(AccountTestCase):
    def test_each_caller_sees_the_accounts_of_their_merchants(self) -> None:
        for member in (self.olga, self.mario, self.otto):
            assert self.rows(member) == [self.till.id]
        assert self.rows(self.ana) == [self.shelf.id]
        assert sorted(self.rows(self.root)) == sorted([self.till.id, self.shelf.id])
        assert self.rows(issue_key(self.bookshop, Scope.ACCOUNTS_READ)[1]) == [self.shelf.id]

    def test_a_member_of_two_sees_both_and_filters_one(self) -> None:
        Membership.objects.add(self.bookshop, self.otto, Role.OPERATOR)
        assert sorted(self.rows(self.otto)) == sorted([self.till.id, self.shelf.id])
        assert self.rows(self.otto, f"?merchant_id={self.bookshop.id}") == [self.shelf.id]

    def test_newest_stand_first(self) -> None:
        made = [
            self.till.id,
            *(PaymentAccountFactory.create(merchant=self.bakery).id for _ in "123"),
        ]
        assert self.rows(self.olga) == sorted(made, reverse=True)

    def test_a_filter_that_names_no_merchant_is_404(self) -> None:
        for bad in ("", "nonsense", "%00", self.till.id, "mer_01HQGX3VJ8Z5Y6W7T8R9QPNM0K"):
            for caller in (self.olga, self.root, issue_key(self.bakery)[1]):
                self.assert_not_found(self.get(f"/accounts?merchant_id={bad}", caller))

    def test_of_two_filters_neither_opens_what_is_foreign(self) -> None:
        query = f"?merchant_id={self.bakery.id}&merchant_id={self.bookshop.id}"
        response = self.get(f"/accounts{query}", self.olga)
        assert self.shelf.id not in response.content.decode()

    def test_the_short_way_shows_what_the_serializer_shows(self) -> None:
        for number, balance in enumerate(("0.00", "1520.75", "-3.10", "9999999999999.99")):
            PaymentAccountFactory.create(
                merchant=self.bakery, name=f"Ação {number}", balance=Decimal(balance)
            )
        PaymentAccountFactory.create(merchant=self.bookshop)
        rows = PaymentAccount.objects.filter(merchant=self.bakery).order_by("-id")
        shown = PaymentAccount.objects.newest_shown([self.bakery.id], 100)
        if connection.vendor == "postgresql":
            assert shown is not None
            assert shown == json.loads(json.dumps(AccountSerializer(rows, many=True).data))
            assert PaymentAccount.objects.newest_shown([self.bakery.id], 2) == shown[:2]
            assert PaymentAccount.objects.newest_shown([], 2) == []
        else:
            assert shown is None

    def test_a_list_costs_the_same_however_long_it_is(self) -> None:
        self.bearer(self.olga)
        with self.assertNumQueries(3):  # the session, its memberships, the accounts
            self.rows(self.olga)
        for _ in range(10):
            PaymentAccountFactory.create(merchant=self.bakery)
        self.forget_counts()  # and whoever is remembered
        with self.assertNumQueries(3):
            self.rows(self.olga)


class OpenTests(AccountTestCase):
    def test_an_owner_and_a_manager_open_one(self) -> None:
        for caller in (self.olga, self.mario):
            made = self.data(self.post("/accounts", caller, {"name": "Savings"}), 201)
            assert sorted(made) == FIELDS
            assert made["merchant_id"] == self.bakery.id
            assert (made["name"], made["balance"]) == ("Savings", "0.00")
            assert (made["currency"], made["branch"], made["status"]) == ("BRL", "0001", "active")
            assert re.fullmatch(r"[0-9]{8}-[0-9X]", made["number"])
            assert self.data(self.get(f"/accounts/{made['id']}", self.otto)) == made

    def test_a_key_opens_one_at_its_own_merchant(self) -> None:
        api_key, secret = issue_key(self.bakery, Scope.ACCOUNTS_WRITE)
        made = self.data(self.post("/accounts", secret, {"name": "Savings"}), 201)
        assert made["merchant_id"] == self.bakery.id
        event = self.events().get()
        assert (event.actor_kind, event.actor_id) == ("api_key", api_key.id)

    def test_opening_leaves_one_event(self) -> None:
        made = self.data(self.post("/accounts", self.olga, {"name": "Savings"}), 201)
        event = self.events().get()
        assert (event.kind, event.object_id) == (Kind.ACCOUNT_OPENED, made["id"])
        assert (event.actor_kind, event.actor_id) == ("user", self.olga.id)
        assert event.merchant_id == self.bakery.id
        assert (event.before, event.after) == ({}, {"name": "Savings"})

    def test_spaces_around_a_name_are_dropped_and_those_inside_stay(self) -> None:
        made = self.data(self.post("/accounts", self.olga, {"name": "  Caixa  São João 🍞 "}), 201)
        assert made["name"] == "Caixa  São João 🍞"

    def test_a_name_of_100_characters_fits_whatever_they_are(self) -> None:
        for name in ("x" * 100, "🍞" * 100):
            made = self.data(self.post("/accounts", self.olga, {"name": name}), 201)
            assert made["name"] == name
        for name in ("x" * 101, "🍞" * 101):
            self.assert_invalid(self.post("/accounts", self.olga, {"name": name}), "name")

    def test_two_accounts_may_have_one_name_and_have_two_numbers(self) -> None:
        made = [self.data(self.post("/accounts", self.olga, {"name": "A"}), 201) for _ in "12"]
        assert made[0]["number"] != made[1]["number"]

    def test_what_is_the_servers_cannot_be_given(self) -> None:
        for field, value in (
            ("balance", "1000000.00"),
            ("branch", "0002"),
            ("number", "12345678-9"),
            ("currency", "USD"),
            ("status", "blocked"),
            ("id", "acc_01HQGX3VJ8Z5Y6W7T8R9QPNM0K"),
            ("created_at", "2026-01-01T00:00:00Z"),
        ):
            response = self.post("/accounts", self.olga, {"name": "Savings", field: value})
            self.assert_invalid(response, field)
            response = self.patch(self.path, self.olga, {field: value, "name": "Savings"})
            if field != "status":
                self.assert_invalid(response, field)
        assert PaymentAccount.objects.filter(merchant=self.bakery).count() == 1
        assert PaymentAccount.objects.get(pk=self.till.pk).balance == Decimal("0.00")

    def test_the_merchant_may_be_left_out_by_who_has_one_and_by_no_other(self) -> None:
        assert self.post("/accounts", self.mario, {"name": "A"}).status_code == 201
        Membership.objects.add(self.bookshop, self.mario, Role.MANAGER)
        self.assert_invalid(self.post("/accounts", self.mario, {"name": "A"}), "merchant_id")
        self.assert_invalid(self.post("/accounts", self.root, {"name": "A"}), "merchant_id")
        body = {"name": "A", "merchant_id": self.bookshop.id}
        assert self.data(self.post("/accounts", self.mario, body), 201)["merchant_id"] == (
            self.bookshop.id
        )

    def test_a_merchant_that_is_none_of_the_callers_is_404(self) -> None:
        for merchant_id in (
            self.bookshop.id,
            "mer_01HQGX3VJ8Z5Y6W7T8R9QPNM0K",
            "nonsense",
            "x" * 64,
        ):
            body = {"name": "A", "merchant_id": merchant_id}
            self.assert_not_found(self.post("/accounts", self.olga, body))
            if merchant_id != self.bookshop.id:
                self.assert_not_found(self.post("/accounts", self.root, body))
        assert PaymentAccount.objects.filter(merchant=self.bookshop).count() == 1

    def test_an_account_that_cannot_be_recorded_is_not_opened(self) -> None:
        self.bearer(self.olga)
        with mock.patch.object(audit, "record", side_effect=RuntimeError):
            response = self.post("/accounts", self.olga, {"name": "Savings"})
        assert self.error(response, 500)["code"] == "INTERNAL_ERROR"
        assert not PaymentAccount.objects.filter(name="Savings").exists()

    def test_a_number_that_is_taken_is_drawn_again(self) -> None:
        module = "merchants.models.payment_account.new_account_number"
        with mock.patch(module, side_effect=[self.till.number, self.shelf.number, "77777777-7"]):
            made = self.data(self.post("/accounts", self.olga, {"name": "Savings"}), 201)
        assert made["number"] == "77777777-7"
        assert self.events().count() == 1

    def test_numbers_that_are_all_taken_end_in_an_error_and_nothing_written(self) -> None:
        module = "merchants.models.payment_account.new_account_number"
        before = PaymentAccount.objects.count()
        with (
            mock.patch(module, return_value=self.till.number),
            pytest.raises(IntegrityError),
        ):
            PaymentAccount.objects.open(self.bakery, "Savings")
        assert PaymentAccount.objects.count() == before
        assert not self.events().exists()


class ChangeTests(AccountTestCase):
    def test_name_and_status_are_changed_and_the_rest_stays(self) -> None:
        before = self.data(self.get(self.path, self.olga))
        body = {"name": "Front till", "status": "blocked"}
        after = self.data(self.patch(self.path, self.olga, body))
        assert after == {**before, **body}
        assert self.data(self.get(self.path, self.otto)) == after

    def test_a_change_leaves_one_event_of_what_changed(self) -> None:
        self.patch(self.path, self.mario, {"name": "Till", "status": "blocked"})
        event = self.events().get()
        assert (event.kind, event.object_id) == (Kind.ACCOUNT_CHANGED, self.till.id)
        assert (event.actor_kind, event.actor_id) == ("user", self.mario.id)
        assert event.merchant_id == self.bakery.id
        assert (event.before, event.after) == ({"status": "active"}, {"status": "blocked"})

    def test_what_changes_nothing_leaves_none(self) -> None:
        for body in ({}, {"name": "Till"}, {"status": "active"}, {"name": " Till "}):
            assert self.patch(self.path, self.olga, body).status_code == 200
        assert not self.events().exists()

    def test_an_empty_body_changes_nothing(self) -> None:
        assert self.call("PATCH", self.path, self.olga, b"").status_code == 200
        assert not self.events().exists()

    def test_blocked_may_be_active_again(self) -> None:
        for status in ("blocked", "active", "blocked", "closed"):
            changed = self.data(self.patch(self.path, self.olga, {"status": status}))
            assert changed["status"] == status
        assert self.events().count() == 4

    def test_closed_stays_closed(self) -> None:
        self.data(self.patch(self.path, self.olga, {"status": "closed"}))
        for caller in (self.olga, self.root):
            for status in ("active", "blocked"):
                response = self.patch(self.path, caller, {"status": status, "name": "Back"})
                assert self.error(response, 409)["code"] == "CONFLICT"
        again = self.data(self.patch(self.path, self.olga, {"status": "closed"}))
        assert (again["status"], again["name"]) == ("closed", "Till")
        assert self.events().count() == 1

    def test_an_unknown_status_is_400(self) -> None:
        for status in ("open", "ACTIVE", "Closed", "active ", "", "deleted"):
            self.assert_invalid(self.patch(self.path, self.olga, {"status": status}), "status")

    def test_the_merchant_of_an_account_stays(self) -> None:
        response = self.patch(self.path, self.root, {"merchant_id": self.bookshop.id})
        self.assert_invalid(response, "merchant_id")

    def test_a_change_that_cannot_be_recorded_does_not_happen(self) -> None:
        self.bearer(self.olga)
        with mock.patch.object(audit, "record", side_effect=RuntimeError):
            response = self.patch(self.path, self.olga, {"status": "closed"})
        self.error(response, 500)
        assert PaymentAccount.objects.get(pk=self.till.pk).status == "active"

    def test_a_change_touches_neither_balance_nor_number(self) -> None:
        stale = PaymentAccount.objects.get(pk=self.till.pk)
        PaymentAccount.objects.filter(pk=self.till.pk).update(balance=Decimal("99.99"))
        stale.change({"name": "Renamed"})
        assert PaymentAccount.objects.get(pk=self.till.pk).balance == Decimal("99.99")

    def test_a_foreign_body_is_judged_before_it_is_read(self) -> None:
        self.assert_not_found(self.patch(self.path, self.ana, {"nonsense": 1}))
        self.assert_forbidden(self.patch(self.path, self.otto, {"nonsense": 1}), "accounts:write")


class NumberTests(ApiTestCase):
    def test_the_check_digit_is_modulo_11_with_an_x_for_ten(self) -> None:
        for drawn, number in ((0, "00000000-0"), (1, "00000001-2"), (5, "00000005-X"),
                              (12345678, "12345678-2")):  # fmt: skip
            with mock.patch("secrets.randbelow", return_value=drawn):
                assert new_account_number() == number

    def test_every_number_fits_its_column(self) -> None:
        assert all(re.fullmatch(r"[0-9]{8}-[0-9X]", new_account_number()) for _ in range(500))
