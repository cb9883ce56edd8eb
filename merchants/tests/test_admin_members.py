"""The members of a merchant at the staff console."""

from typing import Any

from fluxiq.scopes import Role
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import MembershipFactory, UserFactory
from merchants.forms import staff_principal
from merchants.models import Membership, Merchant
from merchants.tests.member_table import MemberTable

LIST = "merchants/merchant/"


class MemberTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enter(self.root)
        self.table = MemberTable(self.bakery)

    def save(self, expect: int = 302, **fields: Any) -> Any:
        fields = {"name": self.bakery.name, **self.table.fields(), **fields}
        return self.send(f"{LIST}{self.bakery.pk}/change/", expect, **fields)

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

    def test_who_is_a_member_already_is_told_and_nothing_is_saved(self) -> None:
        self.table.add(self.ana.id, "operator")
        self.table.add(self.mario.id, "operator")
        response = self.save(200, name="Renamed")
        assert self.refusals(response) == ["This document is a member of the merchant already"]
        assert not Membership.objects.filter(
            document=self.ana.document, merchant=self.bakery
        ).exists()
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

    def test_the_last_owner_is_not_replaced_by_who_is_only_invited(self) -> None:
        self.table.row(self.membership(self.olga))["DELETE"] = "on"
        self.table.add(self.ana.id, "owner")
        assert self.refusals(self.save(200)) == ["A merchant keeps its last owner"]
        assert self.membership(self.olga).role == "owner"
        assert not Membership.objects.filter(document=self.ana.document, status="invited").exists()

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
        assert not Membership.objects.filter(
            document=self.ana.document, merchant=self.bakery
        ).exists()
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
