"""Whoever was made a member without wanting it can leave: `/auth/memberships`."""

from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.scopes import Role
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import enrol, issue_key, join
from merchants.models import Membership

OWN = "/auth/memberships"


class OwnTests(ApiTestCase):
    def test_a_person_sees_their_own_with_the_merchants_names(self) -> None:
        there = join(self.bookshop, self.otto, Role.OPERATOR)
        here = self.membership(self.otto)
        listed = self.data(self.get(OWN, self.otto))
        assert [row["id"] for row in listed] == [there.id, here.id]
        assert [row["merchant_name"] for row in listed] == ["Livraria Borges", "Padaria Aurora"]
        assert sorted(listed[0]) == [
            "created_at", "document", "id", "merchant_id", "merchant_name", "name", "role",
            "status", "user_id",
        ]  # fmt: skip

    def test_those_that_grant_nothing_are_listed_too(self) -> None:
        Membership.objects.filter(user=self.otto).update(status="inactive")
        (row,) = self.data(self.get(OWN, self.otto))
        assert row["status"] == "inactive"

    def test_it_is_for_people(self) -> None:
        self.assert_forbidden(self.get(OWN, issue_key(self.bakery)[1]), None)
        self.assert_unauthorized(self.get(OWN))
        assert self.data(self.get(OWN, self.root)) == []


class LeavingTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = f"{OWN}/{self.membership(self.otto).id}"

    def test_a_person_leaves_without_any_permission_and_holds_nothing_there(self) -> None:
        assert self.delete(self.path, self.otto).status_code == 204
        assert self.data(self.get(OWN, self.otto)) == []
        self.assert_not_found(self.get(f"/merchants/{self.bakery.id}", self.otto))
        event = AuditEvent.objects.get(kind=Kind.MEMBER_REMOVED)
        assert (event.actor_id, event.merchant_id) == (self.otto.id, self.bakery.id)

    def test_also_where_the_merchant_is_suspended_or_asks_for_what_they_lack(self) -> None:
        self.bakery.suspend()
        assert self.delete(self.path, self.otto).status_code == 204
        self.bakery.resume()
        enrol(self.olga)
        self.bakery.set_require_mfa(True)
        marios = f"{OWN}/{self.membership(self.mario).id}"
        assert self.delete(marios, self.mario).status_code == 204

    def test_also_where_the_membership_is_inactive(self) -> None:
        Membership.objects.filter(user=self.otto).update(status="inactive")
        assert self.delete(self.path, self.otto).status_code == 204

    def test_nobody_elses_is_left(self) -> None:
        for caller in (self.mario, self.olga, self.ana, self.root):
            self.assert_not_found(self.delete(self.path, caller))
        self.assert_forbidden(self.delete(self.path, issue_key(self.bakery)[1]), None)
        self.assert_unauthorized(self.delete(self.path))
        assert self.membership(self.otto).role == Role.OPERATOR

    def test_what_is_no_identifier_is_404(self) -> None:
        for bad in ("nonsense", "%00", self.otto.id, "x" * 2000, "%ED%A0%80"):
            self.assert_not_found(self.delete(f"{OWN}/{bad}", self.otto))

    def test_an_owner_does_not_leave_one_of_two_either(self) -> None:
        self.member(self.bakery, "Olivia", Role.OWNER)
        path = f"{OWN}/{self.membership(self.olga).id}"
        error = self.error(self.delete(path, self.olga), 409)
        assert error["message"] == "Owners cannot lower or remove themselves"
        assert self.membership(self.olga).role == Role.OWNER
