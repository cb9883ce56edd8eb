"""POST /auth/invitations/accept: who was invited proves it, and nobody else."""

import json
from datetime import timedelta
from typing import Any
from unittest import mock

from django.db import IntegrityError
from django.utils import timezone

from accounts.models import User
from fluxiq.audit import models as audit
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.errors import Conflict
from fluxiq.tests.factories import PASSWORD, UserFactory
from merchants.models import Membership
from merchants.tests.invitations import ACCEPT, MANY, MEMBER, NINA, InvitationTestCase


class AcceptTests(InvitationTestCase):
    def test_an_unknown_document_sets_its_password(self) -> None:
        secret = self.invitation()
        accepted = self.data(self.accept(secret, "987.654.321-00"))
        assert sorted(accepted) == MEMBER
        user = User.objects.get(document=NINA)
        assert accepted["user_id"] == user.id
        assert (accepted["status"], accepted["role"]) == ("active", "operator")
        assert (user.name, user.is_staff, user.is_superuser) == ("Nina", False, False)
        assert user.check_password(PASSWORD)
        signed_in = self.post("/auth/login", None, {"document": NINA, "password": PASSWORD})
        token = self.data(signed_in)["access_token"]
        rows = self.data(self.get("/accounts", token))
        assert [row["id"] for row in rows] == [self.till.id]

    def test_a_password_is_kept_exactly_as_typed(self) -> None:
        typed = "  pão com manteiga  "
        self.data(self.accept(self.invitation(), password=typed))
        user = User.objects.get(document=NINA)
        assert user.check_password(typed)
        assert not user.check_password(typed.strip())

    def test_a_known_document_proves_its_password(self) -> None:
        secret = self.invitation(document=self.ana.document, name="Ana of the bakery")
        accepted = self.data(self.accept(secret, self.ana.document))
        assert accepted["user_id"] == self.ana.id
        assert accepted["name"] == "Ana of the bakery"
        self.ana.refresh_from_db()
        assert self.ana.name == "Ana"
        assert self.get(f"/accounts/{self.till.id}", self.ana).status_code == 200
        assert self.get(f"/accounts/{self.shelf.id}", self.ana).status_code == 200

    def test_nothing_is_granted_before(self) -> None:
        self.bearer(self.ana)
        secret = self.invitation(document=self.ana.document, role="owner")
        self.assert_not_found(self.get(f"/accounts/{self.till.id}", self.ana))
        self.assert_not_found(self.get(f"/merchants/{self.bakery.id}", self.ana))
        listed = self.data(self.get("/merchants", self.ana))
        assert [merchant["id"] for merchant in listed] == [self.bookshop.id]
        assert len(self.data(self.get("/auth/me", self.ana))["memberships"]) == 1
        self.data(self.accept(secret, self.ana.document))
        assert self.get(f"/accounts/{self.till.id}", self.ana).status_code == 200

    def test_an_invitation_serves_once(self) -> None:
        secret = self.invitation()
        self.data(self.accept(secret))
        before = self.written()
        self.assert_refused(self.accept(secret))
        self.assert_refused(self.accept(secret, password="another password"))
        assert self.written() == before
        assert self.invited().invitation_digest is None
        assert self.invited().invitation_expires_at is None

    def test_who_registers_or_spends_it_at_the_same_moment_leaves_none(self) -> None:
        secret = self.invitation()
        for fault in (IntegrityError, Conflict):
            with (
                mock.patch("authn.invitations.User.objects.register", side_effect=fault),
                self.subTest(fault),
            ):
                self.assert_refused(self.accept(secret))
        assert not User.objects.filter(document=NINA).exists()
        self.data(self.accept(secret))

    def test_accepting_is_recorded_and_the_new_user_is_the_actor(self) -> None:
        secret = self.invitation()
        before = AuditEvent.objects.count()
        accepted = self.data(self.accept(secret))
        assert AuditEvent.objects.count() == before + 2
        event = AuditEvent.objects.get(kind=Kind.MEMBER_ADDED, object_id=accepted["id"])
        assert (event.actor_kind, event.actor_id) == ("user", accepted["user_id"])
        assert event.merchant_id == self.bakery.id
        assert event.after["role"] == "operator"
        made = AuditEvent.objects.get(kind=Kind.USER_CREATED, object_id=accepted["user_id"])
        assert made.address == "127.0.0.1"
        assert PASSWORD not in repr(AuditEvent.objects.values())

    def test_a_token_in_the_header_is_no_part_of_it(self) -> None:
        secret = self.invitation()
        body = {"invitation": secret, "document": NINA, "password": PASSWORD}
        accepted = self.data(self.post(ACCEPT, self.ana, body))
        assert accepted["user_id"] == User.objects.get(document=NINA).id
        assert accepted["user_id"] != self.ana.id

    def test_accepting_signs_nobody_in(self) -> None:
        response = self.accept(self.invitation())
        assert "token" not in response.content.decode()
        assert response.headers["Cache-Control"] == "no-store"

    def test_the_role_is_the_one_at_the_time_of_acceptance(self) -> None:
        made = self.data(self.invite(), 201)
        self.data(self.patch(f"/users/{made['id']}", self.olga, {"role": "manager"}))
        assert self.data(self.accept(made["invitation"]))["role"] == "manager"

    def test_an_invitation_taken_back_serves_no_more(self) -> None:
        made = self.data(self.invite(), 201)
        assert self.delete(f"/users/{made['id']}", self.olga).status_code == 204
        self.assert_refused(self.accept(made["invitation"]))
        assert not User.objects.filter(document=NINA).exists()

    def test_an_invitation_has_no_status_to_change(self) -> None:
        made = self.data(self.invite(), 201)
        for status in ("active", "inactive"):
            response = self.patch(f"/users/{made['id']}", self.root, {"status": status})
            assert self.error(response, 409)["code"] == "CONFLICT"
        assert self.invited().status == "invited"

    def test_its_name_may_be_changed_before_it_is_accepted(self) -> None:
        made = self.data(self.invite(), 201)
        self.data(self.patch(f"/users/{made['id']}", self.olga, {"name": "Nina Souza"}))
        self.data(self.accept(made["invitation"]))
        assert User.objects.get(document=NINA).name == "Nina Souza"


class RefusalTests(InvitationTestCase):
    def test_every_fault_is_one_answer_and_writes_nothing(self) -> None:
        unknown = self.invitation()
        known = self.invitation(document=self.ana.document)
        idle = UserFactory.create(document="11122233344")
        idles = self.invitation(document=idle.document)
        idle.deactivate()
        before = self.written()
        for what, (invitation, document, password) in {
            "an invitation of nobody": ("inv_" + "x" * 43, NINA, PASSWORD),
            "no invitation at all": ("x", NINA, PASSWORD),
            "a known document with another's": (unknown, self.ana.document, PASSWORD),
            "an unknown document with another's": (known, "55566677788", PASSWORD),
            "a wrong password": (known, self.ana.document, "a wrong password"),
            "another case": (unknown.swapcase(), NINA, PASSWORD),
            "what is no document": (unknown, "nonsense", PASSWORD),
            "a user who is shut out": (idles, idle.document, PASSWORD),
        }.items():
            self.forget_counts()
            with self.subTest(what):
                self.assert_refused(self.accept(invitation, document, password))
        assert self.written() == before

    def test_nobody_registers_anothers_document_with_a_password_of_their_own(self) -> None:
        self.assert_refused(self.accept(self.invitation(), "55566677788"))
        assert not User.objects.filter(document="55566677788").exists()
        secret = self.invitation(document=self.ana.document)
        self.assert_refused(self.accept(secret, self.ana.document, "a password of mine"))
        self.ana.refresh_from_db()
        assert self.ana.check_password(PASSWORD)

    def test_it_is_good_for_seven_days_and_not_a_second_longer(self) -> None:
        secret = self.invitation()
        expires_at = self.invited().invitation_expires_at
        assert expires_at is not None
        assert timedelta(days=6, hours=23) < expires_at - timezone.now() <= timedelta(days=7)
        with self.at(expires_at):
            self.assert_refused(self.accept(secret))
        with self.at(expires_at + timedelta(days=1)):
            self.assert_refused(self.accept(secret))
        with self.at(expires_at - timedelta(seconds=1)):
            assert self.accept(secret).status_code == 200

    def test_one_that_expired_may_be_taken_back_and_made_anew(self) -> None:
        made = self.data(self.invite(), 201)
        Membership.objects.filter(pk=made["id"]).update(invitation_expires_at=timezone.now())
        assert self.delete(f"/users/{made['id']}", self.olga).status_code == 204
        assert self.accept(self.invitation()).status_code == 200

    def test_a_weak_password_is_400_and_leaves_the_invitation_good(self) -> None:
        secret = self.invitation()
        before = self.written()
        for weak in ("short", "x" * 11, "qwertyqwerty", "x" * 1025):
            self.assert_invalid(self.accept(secret, password=weak), "password")
        assert self.written() == before
        assert self.accept(secret).status_code == 200

    def test_the_fault_of_a_password_does_not_repeat_it(self) -> None:
        response = self.accept(self.invitation(), password="hunter2")
        assert "hunter2" not in response.content.decode()

    @MANY
    def test_hostile_bodies_are_400_and_write_nothing(self) -> None:
        secret = self.invitation()
        before = self.written()
        good = {"invitation": secret, "document": NINA, "password": PASSWORD}
        for field in good:
            for value in (1, 0, True, None, [], {}, [secret], {"a": 1}, "", "x" * 10_000,
                          "a\x00b" * 6, "\ud800" * 12, 1.5):  # fmt: skip
                body = {**good, field: value}
                with self.subTest(f"{field}={str(value)[:20]!r}"):
                    self.assert_invalid(self.post(ACCEPT, None, body), field)
            missing = {name: value for name, value in good.items() if name != field}
            self.assert_invalid(self.post(ACCEPT, None, missing), field)
        for name in ("role", "merchant_id", "pasword", "is_superuser", "é", "", "\x00", "\ud800"):
            with self.subTest(f"an unknown field {name!r}"):
                self.error(self.post(ACCEPT, None, {**good, name: "x"}), 400)
        for raw in (b"", b"[]", b"null", b'"x"', b"{", json.dumps([good])):
            assert self.call("POST", ACCEPT, None, raw).status_code == 400
        assert self.written() == before
        assert self.post(ACCEPT, None, good).status_code == 200

    def test_an_acceptance_that_cannot_be_recorded_does_not_happen(self) -> None:
        secret = self.invitation()
        before = self.written()
        real, failing = audit.record, Kind.MEMBER_ADDED

        def record(kind: Kind, **fields: Any) -> Any:
            if kind == failing:
                raise RuntimeError
            return real(kind, **fields)

        with mock.patch.object(audit, "record", side_effect=record):
            self.error(self.accept(secret), 500)
        assert self.written() == before
        assert self.accept(secret).status_code == 200
