"""/users: the members of one's merchants, listed, shown, changed, removed."""

import re
from typing import Any
from unittest import mock

from fluxiq.audit import models as audit
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.scopes import Role, Scope
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import issue_key, join
from merchants.models import Membership

FIELDS = [
    "created_at", "document", "id", "merchant_id", "name", "role", "status", "user_id",
]  # fmt: skip
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
OPERATORS = (Scope.ACCOUNTS_READ, Scope.TRANSACTIONS_READ, Scope.PIX_WRITE)


class MemberTestCase(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ottos = self.membership(self.otto)
        self.path = f"/users/{self.ottos.id}"

    def rows(self, caller: Any, query: str = "") -> list[str]:
        return [row["id"] for row in self.data(self.get(f"/users{query}", caller))]

    def ids_of(self, *users: Any) -> list[str]:
        return sorted(self.membership(user).id for user in users)

    def events(self) -> Any:
        return AuditEvent.objects.filter(
            kind__in=[Kind.MEMBER_CHANGED, Kind.MEMBER_REMOVED]
        ).order_by("id")


class ShownTests(MemberTestCase):
    def test_a_member_has_exactly_the_documented_fields(self) -> None:
        shown = self.data(self.get(self.path, self.olga))
        assert sorted(shown) == FIELDS
        document = self.otto.document
        assert shown == {
            "id": self.ottos.id,
            "user_id": self.otto.id,
            "document": f"***.{document[3:6]}.{document[6:9]}-**",
            "name": "Otto",
            "merchant_id": self.bakery.id,
            "role": "operator",
            "status": "active",
            "created_at": shown["created_at"],
        }
        assert TIME.fullmatch(shown["created_at"])

    def test_no_answer_has_a_whole_document_or_a_password(self) -> None:
        for path in ("/users", self.path):
            content = self.get(path, self.olga).content.decode()
            assert self.otto.document not in content
            assert "argon2" not in content
            assert "md5" not in content

    def test_what_is_no_identifier_is_404(self) -> None:
        for bad in ("nonsense", "%00", self.ottos.id + "%00", self.ottos.id.lower(), self.otto.id,
                    "mbr_", "x" * 2000, "%ED%A0%80"):  # fmt: skip
            for method in ("GET", "PATCH", "DELETE"):
                self.assert_not_found(self.call(method, f"/users/{bad}", self.root, {}))
        assert Membership.objects.count() == 4


class ListTests(MemberTestCase):
    def test_an_owner_sees_the_members_of_their_merchant(self) -> None:
        assert sorted(self.rows(self.olga)) == self.ids_of(self.olga, self.mario, self.otto)
        anas = self.membership(self.ana, self.bookshop).id
        assert self.rows(self.ana) == [anas]
        assert len(self.rows(self.root)) == 4
        assert self.rows(issue_key(self.bookshop, Scope.USERS_READ)[1]) == [anas]

    def test_the_inactive_and_the_invited_are_listed_too(self) -> None:
        Membership.objects.filter(user=self.mario).update(status=Membership.Status.INACTIVE)
        body = {"document": "98765432100", "name": "Nina", "role": "operator"}
        made = self.data(self.post("/users", self.olga, body), 201)
        listed = {row["id"]: row for row in self.data(self.get("/users", self.olga))}
        assert len(listed) == 4
        assert listed[self.membership(self.mario).id]["status"] == "inactive"
        assert listed[made["id"]]["status"] == "invited"
        assert listed[made["id"]]["user_id"] is None
        assert "invitation" not in listed[made["id"]]

    def test_of_two_memberships_only_the_merchant_where_it_is_held_is_listed(self) -> None:
        join(self.bookshop, self.olga, Role.OPERATOR)
        assert sorted(self.rows(self.olga)) == self.ids_of(self.olga, self.mario, self.otto)
        there = self.membership(self.olga, self.bookshop)
        self.assert_forbidden(
            self.get(f"/users?merchant_id={self.bookshop.id}", self.olga), "users:read"
        )
        self.assert_forbidden(self.get(f"/users/{there.id}", self.olga), "users:read")

    def test_a_filter_of_a_foreign_merchant_is_404(self) -> None:
        for bad in (self.bookshop.id, "nonsense", "", "%00", "mer_01HQGX3VJ8Z5Y6W7T8R9QPNM0K"):
            self.assert_not_found(self.get(f"/users?merchant_id={bad}", self.olga))
        assert sorted(self.rows(self.root, f"?merchant_id={self.bakery.id}")) == self.ids_of(
            self.olga, self.mario, self.otto
        )

    def test_a_list_costs_the_same_however_long_it_is(self) -> None:
        self.bearer(self.olga)
        with self.assertNumQueries(3):
            self.rows(self.olga)
        for number in range(5):
            self.member(self.bakery, f"Nina {number}", Role.OPERATOR)
        self.forget_counts()  # and whoever is remembered
        with self.assertNumQueries(3):
            self.rows(self.olga)


class ChangeTests(MemberTestCase):
    def test_name_role_and_status_are_changed_and_the_rest_stays(self) -> None:
        before = self.data(self.get(self.path, self.olga))
        body = {"name": "Otto II", "role": "manager", "status": "inactive"}
        after = self.data(self.patch(self.path, self.olga, body))
        assert after == {**before, **body}
        assert self.data(self.get(self.path, self.olga)) == after

    def test_the_name_is_that_of_the_membership_alone(self) -> None:
        join(self.bookshop, self.otto, Role.OPERATOR)
        self.data(self.patch(self.path, self.olga, {"name": "Otto of the bakery"}))
        self.otto.refresh_from_db()
        assert self.otto.name == "Otto"
        assert self.membership(self.otto, self.bookshop).name == "Otto"

    def test_a_change_leaves_one_event_of_what_changed(self) -> None:
        self.patch(self.path, self.olga, {"name": "Otto", "role": "manager", "status": "inactive"})
        event = self.events().get()
        assert (event.kind, event.object_id) == (Kind.MEMBER_CHANGED, self.ottos.id)
        assert (event.actor_kind, event.actor_id) == ("user", self.olga.id)
        assert event.merchant_id == self.bakery.id
        assert event.before == {"role": "operator", "status": "active"}
        assert event.after == {"role": "manager", "status": "inactive"}

    def test_what_changes_nothing_leaves_none(self) -> None:
        for body in ({}, {"name": "Otto"}, {"role": "operator"}, {"status": "active"}):
            assert self.patch(self.path, self.olga, body).status_code == 200
        assert not self.events().exists()

    def test_a_role_holds_at_the_next_request(self) -> None:
        self.assert_forbidden(self.post("/accounts", self.otto, {"name": "A"}), "accounts:write")
        self.data(self.patch(self.path, self.olga, {"role": "manager"}))
        assert self.post("/accounts", self.otto, {"name": "A"}).status_code == 201
        self.data(self.patch(self.path, self.olga, {"role": "operator"}))
        self.assert_forbidden(self.post("/accounts", self.otto, {"name": "A"}), "accounts:write")

    def test_an_inactive_member_is_a_stranger_at_the_next_request(self) -> None:
        assert self.get(f"/accounts/{self.till.id}", self.otto).status_code == 200
        self.data(self.patch(self.path, self.olga, {"status": "inactive"}))
        self.assert_not_found(self.get(f"/accounts/{self.till.id}", self.otto))
        self.assert_not_found(self.get(f"/merchants/{self.bakery.id}", self.otto))
        self.assert_forbidden(self.get("/accounts", self.otto), "accounts:read")
        assert self.data(self.get("/auth/me", self.otto))["memberships"] == []
        self.data(self.patch(self.path, self.olga, {"status": "active"}))
        assert self.get(f"/accounts/{self.till.id}", self.otto).status_code == 200

    def test_nobody_is_made_invited_again(self) -> None:
        self.assert_invalid(self.patch(self.path, self.olga, {"status": "invited"}), "status")

    def test_unknown_roles_and_statuses_are_400(self) -> None:
        for role in ("admin", "OWNER", "owner ", "*", "", "superuser"):
            self.assert_invalid(self.patch(self.path, self.olga, {"role": role}), "role")
        for status in ("deleted", "ACTIVE", "", "suspended"):
            self.assert_invalid(self.patch(self.path, self.olga, {"status": status}), "status")
        assert not self.events().exists()

    def test_document_user_and_merchant_of_a_membership_stay(self) -> None:
        for field, value in (
            ("document", "98765432100"),
            ("user_id", self.ana.id),
            ("merchant_id", self.bookshop.id),
            ("id", "mbr_01HQGX3VJ8Z5Y6W7T8R9QPNM0K"),
            ("email", "x@example.com"),
            ("is_superuser", True),
            ("password", "correct horse battery"),
        ):
            response = self.patch(self.path, self.root, {field: value, "name": "Otto II"})
            self.assert_invalid(response, field)
        assert self.membership(self.otto).name == "Otto"

    def test_a_change_that_cannot_be_recorded_does_not_happen(self) -> None:
        self.bearer(self.olga)
        with mock.patch.object(audit, "record", side_effect=RuntimeError):
            self.error(self.patch(self.path, self.olga, {"role": "manager"}), 500)
            self.error(self.delete(self.path, self.olga), 500)
        assert self.membership(self.otto).role == "operator"


class RemovalTests(MemberTestCase):
    def test_it_is_over_at_the_next_request(self) -> None:
        self.bearer(self.otto)
        response = self.delete(self.path, self.olga)
        assert (response.status_code, response.content) == (204, b"")
        self.assert_not_found(self.get(f"/accounts/{self.till.id}", self.otto))
        assert self.get("/auth/me", self.otto).status_code == 200
        self.assert_not_found(self.get(self.path, self.olga))
        self.assert_not_found(self.delete(self.path, self.olga))

    def test_it_leaves_one_event_of_what_was(self) -> None:
        self.delete(self.path, self.olga)
        self.delete(self.path, self.olga)
        event = self.events().get()
        assert (event.kind, event.object_id) == (Kind.MEMBER_REMOVED, self.ottos.id)
        assert (event.actor_kind, event.actor_id) == ("user", self.olga.id)
        assert event.merchant_id == self.bakery.id
        assert event.before == {"user_id": self.otto.id, "role": "operator", "name": "Otto"}

    def test_who_was_removed_may_be_invited_again(self) -> None:
        self.delete(self.path, self.olga)
        body = {"document": self.otto.document, "name": "Otto", "role": "operator"}
        assert self.post("/users", self.olga, body).status_code == 201

    def test_memberships_elsewhere_go_on(self) -> None:
        join(self.bookshop, self.otto, Role.OPERATOR)
        self.delete(self.path, self.olga)
        assert self.get(f"/accounts/{self.shelf.id}", self.otto).status_code == 200


class EscalationTests(MemberTestCase):
    """A caller grants, changes and removes only roles whose every permission it holds."""

    def key(self, *permissions: Scope) -> str:
        return issue_key(self.bakery, Scope.USERS_READ, Scope.USERS_WRITE, *permissions)[1]

    def invite(self, caller: Any, role: str) -> Any:
        body = {"document": "98765432100", "name": "Nina", "role": role}
        return self.post("/users", caller, body)

    def test_no_key_makes_an_owner_however_much_it_holds(self) -> None:
        secret = issue_key(self.bakery, *Scope)[1]
        self.assert_forbidden(self.invite(secret, "owner"), "*")
        self.assert_forbidden(self.patch(self.path, secret, {"role": "owner"}), "*")
        assert not Membership.objects.filter(document="98765432100").exists()
        assert self.membership(self.otto).role == "operator"

    def test_no_key_changes_or_removes_an_owner(self) -> None:
        secret = issue_key(self.bakery, *Scope)[1]
        self.member(self.bakery, "Olga's sister", Role.OWNER)
        path = f"/users/{self.membership(self.olga).id}"
        for body in ({"name": "x"}, {"role": "operator"}, {"status": "inactive"}, {}):
            self.assert_forbidden(self.patch(path, secret, body), "*")
        self.assert_forbidden(self.delete(path, secret), "*")

    def test_a_key_makes_an_operator_only_where_it_holds_each_permission(self) -> None:
        self.assert_forbidden(self.invite(self.key(), "operator"), "accounts:read")
        for missing in OPERATORS:
            held = [scope for scope in OPERATORS if scope != missing]
            self.assert_forbidden(self.invite(self.key(*held), "operator"), missing)
        self.assert_forbidden(self.invite(self.key(Scope.PIX_WRITE), "operator"), "accounts:read")
        made = self.data(self.invite(self.key(*OPERATORS), "operator"), 201)
        assert made["role"] == "operator"

    def test_a_key_makes_a_manager_only_where_it_holds_every_scope_of_the_wildcards(self) -> None:
        managers = (
            Scope.ACCOUNTS_READ,
            Scope.ACCOUNTS_WRITE,
            Scope.TRANSACTIONS_READ,
            Scope.PIX_READ,
            Scope.PIX_WRITE,
        )
        for missing in managers:
            held = [scope for scope in managers if scope != missing]
            self.assert_forbidden(self.invite(self.key(*held), "manager"), missing)
        assert self.invite(self.key(*managers), "manager").status_code == 201

    def test_a_key_lowers_and_removes_only_whom_it_could_have_made(self) -> None:
        marios = f"/users/{self.membership(self.mario).id}"
        secret = self.key(*OPERATORS)
        self.assert_forbidden(self.patch(marios, secret, {"role": "operator"}), "accounts:write")
        self.assert_forbidden(self.delete(marios, secret), "accounts:write")
        self.assert_forbidden(self.patch(self.path, secret, {"role": "manager"}), "accounts:write")
        assert self.patch(self.path, secret, {"status": "inactive"}).status_code == 200
        assert self.delete(self.path, secret).status_code == 204

    def test_a_key_without_the_role_cannot_even_rename_its_holder(self) -> None:
        self.assert_forbidden(self.patch(self.path, self.key(), {"name": "x"}), "accounts:read")

    def test_what_is_held_elsewhere_grants_nothing_here(self) -> None:
        join(self.bookshop, self.olga, Role.OPERATOR)
        body = {"document": "98765432100", "name": "N", "role": "operator",
                "merchant_id": self.bookshop.id}  # fmt: skip
        self.assert_forbidden(self.post("/users", self.olga, body), "users:write")

    def test_a_refused_grant_writes_nothing(self) -> None:
        before = (AuditEvent.objects.count(), Membership.objects.count())
        secret = self.key()
        before = (AuditEvent.objects.count(), Membership.objects.count())
        self.invite(secret, "owner")
        self.patch(self.path, secret, {"role": "owner"})
        self.delete(self.path, secret)
        assert (AuditEvent.objects.count(), Membership.objects.count()) == before

    def test_a_superuser_makes_an_owner_anywhere(self) -> None:
        assert self.data(self.patch(self.path, self.root, {"role": "owner"}))["role"] == "owner"
