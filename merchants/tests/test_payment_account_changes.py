"""PATCH /accounts/{id}: renamed, blocked and closed; the balance is the ledger's."""

from decimal import Decimal
from unittest import mock

from fluxiq.audit import models as audit
from fluxiq.audit.models import Kind
from merchants.models import PaymentAccount
from merchants.tests.payment_accounts import AccountTestCase


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
