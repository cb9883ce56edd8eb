"""Owners cannot lower or remove themselves, and a merchant keeps its last owner."""

from typing import Any

from accounts.models import User
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.scopes import Role
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import join
from merchants.models import Membership

LOWERING: list[dict[str, str]] = [
    {"role": "manager"},
    {"role": "operator"},
    {"status": "inactive"},
    {"role": "manager", "status": "inactive"},
    {"role": "operator", "name": "Renamed as well"},
    {"role": "owner", "status": "inactive"},
]


class OwnershipTestCase(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.olgas = self.path_of(self.olga)

    def path_of(self, user: User) -> str:
        return f"/users/{self.membership(user).id}"

    def second_owner(self) -> User:
        owner: User = self.member(self.bakery, "Olivia", Role.OWNER).user
        return owner

    def assert_kept(self, path: str, caller: Any) -> None:
        """Neither lowered nor removed, and nothing written."""
        self.bearer(caller)  # signs in, which is an event of its own
        before = (AuditEvent.objects.count(), list(Membership.objects.values()))
        for body in LOWERING:
            response = self.patch(path, caller, body)
            assert self.error(response, 409)["code"] == "CONFLICT"
        assert self.error(self.delete(path, caller), 409)["code"] == "CONFLICT"
        assert (AuditEvent.objects.count(), list(Membership.objects.values())) == before


class OneselfTests(OwnershipTestCase):
    def test_an_only_owner_cannot_lower_or_remove_themselves(self) -> None:
        self.assert_kept(self.olgas, self.olga)

    def test_nor_can_one_of_two(self) -> None:
        self.second_owner()
        self.assert_kept(self.olgas, self.olga)

    def test_nor_an_owner_who_is_a_superuser(self) -> None:
        self.second_owner()
        join(self.bakery, self.root, Role.OWNER)
        self.assert_kept(self.path_of(self.root), self.root)

    def test_an_owner_may_rename_themselves_and_stay_what_they_are(self) -> None:
        for body in ({"name": "Olga II"}, {"role": "owner"}, {"status": "active"},
                     {"role": "owner", "status": "active", "name": "Olga III"}):  # fmt: skip
            assert self.patch(self.olgas, self.olga, body).status_code == 200
        assert self.membership(self.olga).name == "Olga III"


class LastOwnerTests(OwnershipTestCase):
    def test_a_superuser_cannot_take_the_last_owner_either(self) -> None:
        self.assert_kept(self.olgas, self.root)

    def test_one_of_two_owners_may_be_lowered_and_the_last_not(self) -> None:
        olivias = self.path_of(self.second_owner())
        assert self.patch(olivias, self.olga, {"role": "manager"}).status_code == 200
        self.assert_kept(self.olgas, self.root)

    def test_one_of_two_owners_may_be_removed_by_the_other(self) -> None:
        olivia = self.second_owner()
        assert self.delete(self.olgas, olivia).status_code == 204
        self.assert_kept(self.path_of(olivia), self.root)

    def test_an_owner_who_is_inactive_does_not_count(self) -> None:
        olivias = self.path_of(self.second_owner())
        self.data(self.patch(olivias, self.olga, {"status": "inactive"}))
        self.assert_kept(self.olgas, self.root)

    def test_an_owner_who_was_shut_out_does_not_count(self) -> None:
        self.second_owner().deactivate()
        self.assert_kept(self.olgas, self.root)

    def test_an_owner_who_is_only_invited_does_not_count(self) -> None:
        body = {"document": "98765432100", "name": "Nina", "role": "owner"}
        assert self.post("/users", self.olga, body).status_code == 201
        self.assert_kept(self.olgas, self.root)

    def test_an_owner_elsewhere_does_not_count(self) -> None:
        join(self.bookshop, self.second_owner(), Role.OWNER)
        self.data(self.patch(self.path_of(self.mario), self.root, {"role": "operator"}))
        anas = f"/users/{self.membership(self.ana, self.bookshop).id}"
        assert self.delete(anas, self.root).status_code == 204
        olivias = Membership.objects.get(merchant=self.bookshop)
        self.assert_kept(f"/users/{olivias.id}", self.root)

    def test_an_inactive_or_invited_owner_may_always_go(self) -> None:
        olivias = self.path_of(self.second_owner())
        self.data(self.patch(olivias, self.olga, {"status": "inactive"}))
        assert self.patch(olivias, self.olga, {"role": "operator"}).status_code == 200
        assert self.patch(olivias, self.olga, {"role": "owner"}).status_code == 200
        assert self.delete(olivias, self.olga).status_code == 204
        body = {"document": "98765432100", "name": "Nina", "role": "owner"}
        made = self.data(self.post("/users", self.olga, body), 201)
        assert self.delete(f"/users/{made['id']}", self.olga).status_code == 204

    def test_a_handover_takes_two_steps(self) -> None:
        self.bearer(self.olga)
        self.bearer(self.mario)
        marios = self.path_of(self.mario)
        self.data(self.patch(marios, self.olga, {"role": "owner"}))
        self.data(self.patch(self.olgas, self.mario, {"role": "operator"}))
        self.assert_forbidden(self.get("/users", self.olga), "users:read")
        self.assert_kept(marios, self.mario)

    def test_a_merchant_without_any_owner_may_be_given_one(self) -> None:
        Membership.objects.filter(user=self.olga).delete()
        promoted = self.patch(self.path_of(self.mario), self.root, {"role": "owner"})
        assert self.data(promoted)["role"] == "owner"
        kinds = AuditEvent.objects.filter(kind=Kind.MEMBER_CHANGED)
        assert [event.actor_id for event in kinds] == [self.root.id]
