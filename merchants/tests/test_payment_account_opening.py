"""POST /accounts: who opens one where, and the number that it gets."""

import re
from decimal import Decimal
from unittest import mock

import pytest
from django.db import IntegrityError

from fluxiq.audit import models as audit
from fluxiq.audit.models import Kind
from fluxiq.scopes import Role, Scope
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import issue_key, join
from merchants.models import PaymentAccount
from merchants.models.payment_account import new_account_number
from merchants.tests.payment_accounts import FIELDS, AccountTestCase


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
        join(self.bookshop, self.mario, Role.MANAGER)
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


class NumberTests(ApiTestCase):
    def test_the_check_digit_is_modulo_11_with_an_x_for_ten(self) -> None:
        for drawn, number in ((0, "00000000-0"), (1, "00000001-2"), (5, "00000005-X"),
                              (12345678, "12345678-2")):  # fmt: skip
            with mock.patch("secrets.randbelow", return_value=drawn):
                assert new_account_number() == number

    def test_every_number_fits_its_column(self) -> None:
        assert all(re.fullmatch(r"[0-9]{8}-[0-9X]", new_account_number()) for _ in range(500))
