"""GET /accounts and /accounts/{id}: what is shown, of which accounts, to whom."""

import json
import re
from decimal import Decimal

from django.db import connection

from fluxiq.scopes import Role, Scope
from fluxiq.tests.factories import PaymentAccountFactory, issue_key, join
from merchants.models import PaymentAccount
from merchants.serializers import AccountSerializer
from merchants.tests.payment_accounts import FIELDS, AccountTestCase

TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


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
        join(self.bookshop, self.otto, Role.OPERATOR)
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
