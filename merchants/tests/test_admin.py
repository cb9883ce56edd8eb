"""Merchants, their members and payment accounts at the staff console."""

from decimal import Decimal
from typing import Any

from fluxiq.scopes import Role
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import MembershipFactory, PaymentAccountFactory, UserFactory, issue_key
from merchants.forms import staff_principal
from merchants.models import Membership, Merchant, PaymentAccount

LIST = "merchants/merchant/"
ACCOUNTS = "merchants/paymentaccount/"


class MerchantTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enter(self.root)
        self.page = f"{LIST}{self.bakery.pk}/"

    def test_the_list_finds_by_name_document_and_id_and_masks(self) -> None:
        Merchant.objects.open("Quitanda", "98.765.432/0001-00")
        for text in ("quit", "98.765", "98765432000100"):
            page = self.look(LIST, q=text)
            assert "Quitanda" in page
            assert "Padaria Aurora" not in page
        page = self.look(LIST)
        assert "**.765.432/0001-**" in page
        assert "98765432000100" not in page
        assert "Padaria Aurora" in self.look(LIST, q=self.bakery.id)

    def test_a_form_finds_one_by_the_beginning_of_its_document(self) -> None:
        Merchant.objects.open("Quitanda", "98.765.432/0001-00")
        asked = {"app_label": "authn", "model_name": "apikey", "field_name": "merchant"}
        found = self.client.get("/admin/autocomplete/", {"term": "98.765", **asked}).json()
        assert [choice["text"] for choice in found["results"]] == ["Quitanda"]
        self.enter(self.sam)
        self.look("autocomplete/", 403, term="98.765", **asked)

    def test_the_list_costs_as_many_queries_for_many_merchants(self) -> None:
        self.assert_queries_do_not_grow(LIST, MembershipFactory.create)

    def test_one_is_added_with_the_bare_document_and_audited(self) -> None:
        self.send(LIST + "add/", name="Quitanda", document="98.765.432/0001-00")
        merchant = Merchant.objects.get(document="98765432000100")
        (event,) = self.events("merchant.created", object_id=merchant.id)
        assert (event.actor_kind, event.actor_id) == ("staff", self.root.id)

    def test_a_document_that_is_none_or_known_is_refused(self) -> None:
        for document in ("", "98.765", self.bakery.document):
            response = self.send(LIST + "add/", 200, name="Quitanda", document=document)
            assert list(response.context["adminform"].form.errors) == ["document"]
        assert not Merchant.objects.filter(name="Quitanda").exists()

    def test_only_the_name_is_changed_and_audited(self) -> None:
        self.send(
            self.page + "change/",
            name="Padaria Boreal",
            document="98765432000100",
            status="suspended",
            **MemberTable(self.bakery).fields(),
        )
        merchant = Merchant.objects.get(pk=self.bakery.pk)
        assert merchant.name == "Padaria Boreal"
        assert merchant.document == self.bakery.document
        assert not merchant.is_suspended
        (event,) = self.events("merchant.changed")
        assert event.actor_id == self.root.id
        assert event.before == {"name": "Padaria Aurora"}
        assert event.after == {"name": "Padaria Boreal"}

    def test_suspending_is_confirmed_and_holds_at_once(self) -> None:
        _, secret = issue_key(self.bakery)
        self.look(self.page + "suspend/")
        assert self.get("/auth/me", secret).status_code == 200
        self.send(self.page + "suspend/", confirmed="yes")
        self.assert_unauthorized(self.get("/auth/me", secret))
        (event,) = self.events("merchant.suspended")
        assert event.actor_id == self.root.id

    def test_resuming_undoes_it(self) -> None:
        self.bakery.suspend()
        self.act(LIST, "resume", self.bakery, self.bookshop)
        assert not Merchant.objects.get(pk=self.bakery.pk).is_suspended
        assert len(self.events("merchant.resumed")) == 1

    def test_what_is_suspended_is_not_suspended_again(self) -> None:
        self.bakery.suspend()
        assert "suspend/" not in self.look(self.page + "change/")
        self.act(LIST, "suspend", self.bakery)
        assert len(self.events("merchant.suspended")) == 1

    def test_none_is_deleted(self) -> None:
        empty = Merchant.objects.open("Quitanda", "98765432000100")
        self.look(f"{LIST}{empty.pk}/delete/", 403)
        self.act(LIST, "delete_selected", empty)
        assert Merchant.objects.filter(pk=empty.pk).exists()

    def test_staff_without_a_permission_get_403(self) -> None:
        self.enter(self.sam)
        for path in (LIST, LIST + "add/", self.page + "change/", self.page + "suspend/"):
            self.look(path, 403)

    def test_who_may_only_look_changes_nothing(self) -> None:
        self.enter(self.sam, "merchants.view_merchant")
        assert "Suspend" not in self.look(self.page + "change/")
        self.send(self.page + "change/", 403, name="Mine")
        self.send(self.page + "suspend/", 403, confirmed="yes")
        self.assert_no_action(LIST, "suspend", self.bakery)
        assert not Merchant.objects.get(pk=self.bakery.pk).is_suspended

    def test_a_members_table_is_shown_to_whom_it_is_permitted(self) -> None:
        self.enter(self.sam, "merchants.change_merchant")
        assert "Mario" not in self.look(self.page + "change/")
        self.enter(self.sam, "merchants.view_membership")
        page = self.look(self.page + "change/")
        assert "Mario" in page
        assert self.membership(self.mario).masked_document in page


class MemberTable:
    """The table of members on a merchant's page, as a browser would send it."""

    def __init__(self, merchant: Merchant) -> None:
        self.rows: list[dict[str, str]] = [
            {"id": m.pk, "role": m.role, "status": m.status}
            for m in Membership.objects.filter(merchant=merchant)
        ]
        self._initial = len(self.rows)
        self._merchant = merchant

    def row(self, membership: Membership) -> dict[str, str]:
        (found,) = (row for row in self.rows if row["id"] == membership.pk)
        return found

    def add(self, person: str, role: str) -> None:
        self.rows.append({"id": "", "person": person, "role": role})

    def fields(self) -> dict[str, Any]:
        fields = {
            "memberships-TOTAL_FORMS": str(len(self.rows)),
            "memberships-INITIAL_FORMS": str(self._initial),
            "memberships-MIN_NUM_FORMS": "0",
            "memberships-MAX_NUM_FORMS": "1000",
        }
        for index, row in enumerate(self.rows):
            for name, value in {"merchant": self._merchant.pk, **row}.items():
                fields[f"memberships-{index}-{name}"] = value
        return fields


class MemberTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enter(self.root)
        self.table = MemberTable(self.bakery)

    def save(self, expect: int = 302, **fields: Any) -> Any:
        fields = {"name": self.bakery.name, **self.table.fields(), **fields}
        return self.send(f"{LIST}{self.bakery.pk}/change/", expect, **fields)

    def errors(self, response: Any) -> list[str]:
        (inline,) = response.context["inline_admin_formsets"]
        return [m for errors in inline.formset.errors for ms in errors.values() for m in ms]

    def invited(self) -> Membership:
        membership, _ = Membership.objects.invite(
            staff_principal(self.root),
            self.bakery,
            document="98765432100",
            name="Ines",
            role=Role.MANAGER,
        )
        self.table = MemberTable(self.bakery)
        return membership

    def test_a_member_is_added_by_document(self) -> None:
        document = self.ana.document
        self.table.add(f"{document[:3]}.{document[3:6]}.{document[6:9]}-{document[9:]}", "operator")
        self.save()
        added = self.membership(self.ana)
        assert (added.role, added.status, added.name) == ("operator", "active", "Ana")
        (event,) = self.events("membership.added", object_id=added.id)
        assert (event.actor_kind, event.actor_id) == ("staff", self.root.id)

    def test_a_member_is_added_by_id(self) -> None:
        self.table.add(self.ana.id, "owner")
        self.save()
        assert self.membership(self.ana).role == "owner"

    def test_nobody_by_that_document_is_told(self) -> None:
        for person in ("98765432100", "usr_unknown", "nobody"):
            self.table = MemberTable(self.bakery)
            self.table.add(person, "owner")
            assert self.errors(self.save(200)) == ["There is no user with this document or id."]

    def test_who_is_a_member_already_is_told_and_nothing_is_saved(self) -> None:
        self.table.add(self.ana.id, "operator")
        self.table.add(self.mario.id, "operator")
        response = self.save(200, name="Renamed")
        assert self.refusals(response) == ["This document is a member of the merchant already"]
        assert not Membership.objects.filter(user=self.ana, merchant=self.bakery).exists()
        assert Merchant.objects.get(pk=self.bakery.pk).name == "Padaria Aurora"
        assert self.events("merchant.changed") == []

    def test_role_and_status_are_changed_and_audited(self) -> None:
        membership = self.membership(self.mario)
        self.table.row(membership).update(role="operator", status="inactive")
        self.save()
        changed = self.membership(self.mario)
        assert (changed.role, changed.status) == ("operator", "inactive")
        (event,) = self.events("membership.changed")
        assert event.actor_id == self.root.id
        assert event.before == {"role": "manager", "status": "active"}

    def test_a_changed_role_holds_at_the_next_request(self) -> None:
        token = self.sign_in(self.mario).access_token
        self.table.row(self.membership(self.mario))["role"] = "operator"
        self.save()
        body = {"merchant_id": self.bakery.id, "name": "Second"}
        self.assert_forbidden(self.post("/accounts", token, body), "accounts:write")

    def test_a_member_is_removed(self) -> None:
        self.table.row(self.membership(self.mario))["DELETE"] = "on"
        self.save()
        assert not Membership.objects.filter(user=self.mario).exists()
        (event,) = self.events("membership.removed")
        assert event.actor_id == self.root.id

    def test_the_last_owner_is_neither_lowered_nor_shut_out_nor_removed(self) -> None:
        for change in ({"role": "manager"}, {"status": "inactive"}, {"DELETE": "on"}):
            self.table = MemberTable(self.bakery)
            self.table.row(self.membership(self.olga)).update(change)
            response = self.save(200)
            assert self.refusals(response) == ["A merchant keeps its last owner"]
            assert self.membership(self.olga).role == "owner"
            assert self.membership(self.olga).status == "active"

    def test_the_last_owner_is_replaced_in_one_go(self) -> None:
        self.table.row(self.membership(self.olga))["role"] = "manager"
        self.table.row(self.membership(self.mario))["role"] = "owner"
        self.save()
        assert self.membership(self.olga).role == "manager"
        assert self.membership(self.mario).role == "owner"
        assert len(self.events("membership.changed")) == 2

    def test_the_last_owner_is_replaced_by_a_new_member_in_one_go(self) -> None:
        self.table.row(self.membership(self.olga))["DELETE"] = "on"
        self.table.add(self.ana.id, "owner")
        self.save()
        assert not Membership.objects.filter(user=self.olga).exists()
        assert self.membership(self.ana).role == "owner"

    def test_an_invitation_is_shown_and_cannot_be_changed(self) -> None:
        membership = self.invited()
        page = self.look(f"{LIST}{self.bakery.pk}/change/")
        assert "Ines" in page
        assert "98765432100" not in page
        self.table.row(membership).update(role="owner", status="active")
        self.save()
        after = Membership.objects.get(pk=membership.pk)
        assert (after.role, after.status, after.user) == ("manager", "invited", None)

    def test_an_invitation_can_be_removed(self) -> None:
        membership = self.invited()
        self.table.row(membership)["DELETE"] = "on"
        self.save()
        assert not Membership.objects.filter(pk=membership.pk).exists()

    def test_nobody_is_made_invited(self) -> None:
        self.table.row(self.membership(self.mario))["status"] = "invited"
        self.save(200)
        assert self.membership(self.mario).status == "active"

    def test_the_member_of_a_row_cannot_be_exchanged(self) -> None:
        self.table.row(self.membership(self.mario)).update(person=self.ana.id, name="Ana")
        self.save()
        assert self.membership(self.mario).name == "Mario"
        assert not Membership.objects.filter(user=self.ana, merchant=self.bakery).exists()

    def test_a_row_of_another_merchant_is_not_changed(self) -> None:
        foreign = self.membership(self.ana, self.bookshop)
        self.table.row(self.membership(self.mario)).update(id=foreign.pk, role="operator")
        self.save(200)
        assert self.membership(self.ana, self.bookshop).role == "owner"

    def test_each_deed_needs_its_permission(self) -> None:
        self.enter(self.sam, "merchants.change_merchant", "merchants.view_membership")
        self.table.row(self.membership(self.mario)).update(role="operator", DELETE="on")
        self.table.add(self.ana.id, "owner")
        self.save()
        assert self.membership(self.mario).role == "manager"
        assert not Membership.objects.filter(user=self.ana, merchant=self.bakery).exists()
        self.table = MemberTable(self.bakery)
        self.table.row(self.membership(self.mario))["role"] = "operator"
        self.enter(self.sam, "merchants.change_membership")
        self.save()
        assert self.membership(self.mario).role == "operator"

    def test_the_page_costs_as_many_queries_for_many_members(self) -> None:
        self.assert_queries_do_not_grow(
            f"{LIST}{self.bakery.pk}/change/",
            lambda: MembershipFactory.create(merchant=self.bakery, user=UserFactory.create()),
        )


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
        for merchant in ("mer_unknown", "\0", "", "mer_01HQGX0000000000000000000A"):
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
