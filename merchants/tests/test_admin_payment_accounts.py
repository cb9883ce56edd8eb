"""Payment accounts at the staff console."""

from decimal import Decimal

from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import PaymentAccountFactory
from merchants.models import PaymentAccount

ACCOUNTS = "merchants/paymentaccount/"


class PaymentAccountTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enter(self.root)
        self.page = f"{ACCOUNTS}{self.till.pk}/change/"

    def test_the_list_narrows_to_a_merchant(self) -> None:
        page = self.look(ACCOUNTS, merchant=self.bakery.pk)
        assert self.till.number in page
        assert self.shelf.number not in page
        assert "Padaria Aurora" in page

    def test_it_narrows_to_nothing_for_a_merchant_that_there_is_not(self) -> None:
        for merchant in ("mer_unknown", "", "mer_01HQGX0000000000000000000A"):
            page = self.look(ACCOUNTS, merchant=merchant)
            assert self.till.number not in page
            assert self.shelf.number not in page

    def test_it_is_found_by_number_and_merchant(self) -> None:
        for text in (self.till.number, "till", "aurora", self.bakery.id, self.till.id):
            page = self.look(ACCOUNTS, q=text)
            assert self.till.number in page
            assert self.shelf.number not in page

    def test_the_list_costs_as_many_queries_for_many_accounts(self) -> None:
        self.assert_queries_do_not_grow(
            ACCOUNTS, lambda: PaymentAccountFactory.create(merchant=self.bakery)
        )

    def test_one_is_opened_with_a_number_of_its_own_and_audited(self) -> None:
        self.send(ACCOUNTS + "add/", merchant=self.bakery.pk, name="Safe", balance="9", number="1")
        account = PaymentAccount.objects.get(name="Safe")
        assert account.merchant == self.bakery
        assert account.balance == Decimal("0.00")
        assert len(account.number) == 10
        (event,) = self.events("account.opened", object_id=account.id)
        assert (event.actor_kind, event.actor_id) == ("staff", self.root.id)

    def test_only_name_and_status_are_changed_and_audited(self) -> None:
        self.send(
            self.page,
            name="Front till",
            status="blocked",
            balance="1000000.00",
            number="12345678-9",
            merchant=self.bookshop.pk,
        )
        account = PaymentAccount.objects.get(pk=self.till.pk)
        assert (account.name, account.status) == ("Front till", "blocked")
        assert account.balance == self.till.balance
        assert account.number == self.till.number
        assert account.merchant == self.bakery
        (event,) = self.events("account.changed")
        assert event.actor_id == self.root.id
        assert event.before == {"name": "Till", "status": "active"}

    def test_a_closed_account_is_not_opened_again(self) -> None:
        self.till.change({"status": "closed"})
        response = self.send(self.page, 200, name="Till", status="active")
        assert self.refusals(response) == ["A closed account cannot be opened again"]
        assert PaymentAccount.objects.get(pk=self.till.pk).status == "closed"

    def test_none_is_deleted(self) -> None:
        self.look(f"{ACCOUNTS}{self.till.pk}/delete/", 403)
        self.assert_no_action(ACCOUNTS, "delete_selected", self.till)
        assert PaymentAccount.objects.filter(pk=self.till.pk).exists()

    def test_staff_without_a_permission_get_403(self) -> None:
        self.enter(self.sam)
        for path in (ACCOUNTS, ACCOUNTS + "add/", self.page):
            self.look(path, 403)

    def test_who_may_only_look_changes_nothing(self) -> None:
        self.enter(self.sam, "merchants.view_paymentaccount")
        self.look(self.page)
        self.send(self.page, 403, name="Mine", status="active")
