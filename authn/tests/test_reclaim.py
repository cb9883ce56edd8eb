"""A document that somebody else registered is given back: nothing that they had works after it."""

import re
from typing import Any

from django.core import mail
from django.test import Client

from accounts.models import User
from authn import reclaim, recovery
from authn.mfa import factors
from authn.models import MfaChallenge, RecoveryCode, TotpFactor
from authn.tests.commands import CommandTestCase
from fluxiq.audit.models import AuditEvent
from fluxiq.scopes import Role
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import PASSWORD, UserFactory, enrol, join
from merchants.models import Membership

NEW = "a password of the holder"
LINK = re.compile(r"reset-password#([\w.-]+)")


class ReclaimTestCase(CommandTestCase, ConsoleTestCase):
    """`squatted` is a user at the bakery whom somebody other than the holder made."""

    def setUp(self) -> None:
        super().setUp()
        self.squatted = self.member(self.bakery, "Squatted", Role.OPERATOR).user
        self.document = self.squatted.document

    def log_in(self, password: str = PASSWORD) -> Any:
        return self.post("/auth/login", body={"document": self.document, "password": password})

    def take_back(self, token: str) -> Any:
        return self.post("/auth/password/reset", body={"token": token, "new_password": NEW})


class RuleTests(ReclaimTestCase):
    def reclaim(self, **options: Any) -> reclaim.Reclaimed:
        with self.captureOnCommitCallbacks(execute=True):
            return reclaim.reclaim(self.squatted, "Seen in person", **options)

    def test_sessions_the_password_and_links_from_before_serve_no_more(self) -> None:
        pair = self.data(self.log_in())
        before = recovery.make_token(User.objects.get(pk=self.squatted.pk))
        self.reclaim()
        self.assert_unauthorized(self.get("/auth/me", pair["access_token"]))
        refresh = {"refresh_token": pair["refresh_token"]}
        assert self.post("/auth/refresh", body=refresh).status_code == 401
        assert self.log_in().status_code == 401
        self.assert_unauthorized(self.take_back(before))

    def test_the_link_lets_the_holder_in_once(self) -> None:
        token = LINK.findall(self.reclaim().reset_link)[0]
        assert self.take_back(token).status_code == 204
        self.assert_unauthorized(self.take_back(token))
        assert self.log_in(NEW).status_code == 200

    def test_the_second_factor_its_codes_and_a_challenge_under_way_serve_no_more(self) -> None:
        phone = enrol(self.squatted)
        challenge = self.error(self.log_in(), 403)["challenge"]
        token = LINK.findall(self.reclaim().reset_link)[0]
        for code in (phone.code(1), phone.recovery_codes[0]):
            body = {"challenge": challenge, "code": code}
            assert self.post("/auth/login/mfa", body=body).status_code == 401
        for model in (TotpFactor, RecoveryCode, MfaChallenge):
            assert not model.objects.filter(user=self.squatted).exists()
        assert self.take_back(token).status_code == 204
        assert self.log_in(NEW).status_code == 200

    def test_an_enrolment_under_way_is_not_confirmed_after(self) -> None:
        factors.enrol_without_one(self.squatted.pk)
        self.reclaim()
        assert not TotpFactor.objects.filter(user=self.squatted).exists()

    def test_a_mailbox_gets_no_link_any_more_and_is_told(self) -> None:
        User.objects.filter(pk=self.squatted.pk).update(email="thief@example.com")
        self.reclaim()
        (message,) = mail.outbox
        assert message.to == ["thief@example.com"]
        assert "reset-password" not in str(message.body)
        with self.captureOnCommitCallbacks(execute=True):
            self.post("/auth/password/forgot", body={"document": self.document})
        assert len(mail.outbox) == 1

    def test_open_invitations_to_the_document_end_everywhere(self) -> None:
        body = {"document": self.document, "name": "Squatted", "role": "operator"}
        invited = self.data(self.post("/users", self.ana, body), 201)
        assert self.reclaim().invitations_ended == 1
        acceptance = {"invitation": invited["invitation"], "document": self.document}
        for password in (PASSWORD, NEW):
            response = self.post(
                "/auth/invitations/accept", body={**acceptance, "password": password}
            )
            assert response.status_code == 401
        assert not Membership.objects.filter(pk=invited["id"]).exists()

    def test_memberships_stay_unless_they_are_named(self) -> None:
        here = self.membership(self.squatted)
        there = join(self.bookshop, self.squatted, Role.MANAGER)
        done = self.reclaim(ending=[there.pk])
        assert [m.pk for m in done.memberships] == [here.pk]
        assert done.memberships_ended == [there.pk]
        assert not Membership.objects.filter(pk=there.pk).exists()

    def test_a_merchant_keeps_its_last_owner_and_then_nothing_is_done(self) -> None:
        owned = join(self.bookshop, self.squatted, Role.OWNER)
        Membership.objects.filter(user=self.ana).delete()
        pair = self.data(self.log_in())
        refusal = self.refusal(
            *("reclaim_document", self.document, "--reason", "x", "--end", owned.pk, "--yes")
        )
        assert refusal == "A merchant keeps its last owner"
        assert self.get("/auth/me", pair["access_token"]).status_code == 200
        assert self.log_in().status_code == 200

    def test_it_is_in_the_trail_with_the_reason_and_without_the_link(self) -> None:
        token = LINK.findall(self.reclaim().reset_link)[0]
        event = AuditEvent.objects.get(kind="user.reclaimed")
        assert (event.object_id, event.after["reason"]) == (self.squatted.pk, "Seen in person")
        assert token not in repr(list(AuditEvent.objects.values()))


class CommandTests(ReclaimTestCase):
    def test_it_takes_a_document_or_an_id_and_prints_the_link_on_stdout_by_itself(self) -> None:
        token = ""
        for person in (f"{self.document[:3]}.{self.document[3:]}", self.squatted.pk):
            arguments = ("reclaim_document", person, "--reason", "Seen in person", "--yes")
            stdout, stderr = self.run_command(*arguments)
            token = LINK.findall(stdout)[0]
            assert stdout.split() == [stdout.strip()]
            assert token not in stderr
            assert self.membership(self.squatted).pk in stderr
        assert self.take_back(token).status_code == 204

    def test_for_scripts_it_prints_one_document(self) -> None:
        self.log_in()
        membership = self.membership(self.squatted)
        done = self.result("reclaim_document", self.document, "--reason", "x", "--yes")
        assert LINK.search(done.pop("reset_link"))
        assert done == {
            "id": self.squatted.pk,
            "sessions_ended": 1,
            "invitations_ended": 0,
            "memberships_ended": [],
            "memberships": [
                {
                    "id": membership.pk,
                    "merchant_id": self.bakery.pk,
                    "merchant_name": "Padaria Aurora",
                    "role": "operator",
                    "status": "active",
                }
            ],
        }

    def test_it_is_not_done_unasked_to_nobody_or_without_a_reason(self) -> None:
        anas = self.membership(self.ana, self.bookshop).pk
        reason = ("--reason", "Seen in person")
        for arguments, why in (
            ((self.document, *reason), "there is no terminal to ask at: add --yes"),
            (("98765432100", *reason, "--yes"), "there is no user '98765432100'"),
            (("usr_unknown", *reason, "--yes"), "there is no user 'usr_unknown'"),
            (("usr_\x00", *reason, "--yes"), "there is no user"),
            ((self.document, "--yes"), "--reason"),
            ((self.document, "--reason", " ", "--yes"), "reason: "),
            ((self.document, *reason, "--end", anas, "--yes"), "no membership of theirs"),
        ):
            with self.subTest(arguments):
                assert why in self.refusal("reclaim_document", *arguments)
        assert self.log_in().status_code == 200

    def test_one_who_is_deactivated_is_reactivated_first(self) -> None:
        self.squatted.deactivate("fraud")
        refusal = self.refusal("reclaim_document", self.document, "--reason", "x", "--yes")
        assert refusal.startswith("This user is deactivated.")


class ConsoleTests(ReclaimTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = f"accounts/user/{self.squatted.pk}/reclaim/"
        self.enter(self.root)

    def test_the_page_lists_the_memberships_and_answers_with_the_link_once(self) -> None:
        there = join(self.bookshop, self.squatted, Role.MANAGER)
        page = self.look(self.path)
        assert "Padaria Aurora" in page
        assert there.pk in page
        assert "/reclaim/" in self.look(f"accounts/user/{self.squatted.pk}/change/")
        response = self.send(self.path, 200, reason="Seen in person", memberships=[there.pk])
        (token,) = set(LINK.findall(response.content.decode()))
        assert "no-store" in response.headers["Cache-Control"]
        assert not response.cookies.get("messages")
        assert "Padaria Aurora" in response.content.decode()
        assert not Membership.objects.filter(pk=there.pk).exists()
        assert token not in self.look(self.path)
        (event,) = self.events("user.reclaimed")
        assert (event.actor_kind, event.actor_id) == ("staff", self.root.pk)
        assert self.take_back(token).status_code == 204

    def test_it_asks_for_a_reason(self) -> None:
        page = self.send(self.path, 200).content.decode()
        assert not LINK.search(page)
        assert self.log_in().status_code == 200

    def test_a_membership_of_somebody_else_is_not_ended(self) -> None:
        anas = self.membership(self.ana, self.bookshop)
        page = self.send(self.path, 200, reason="x", memberships=[anas.pk]).content.decode()
        assert not LINK.search(page)
        assert Membership.objects.filter(pk=anas.pk).exists()

    def test_what_a_rule_refuses_is_said_and_nothing_is_done(self) -> None:
        owned = join(self.bookshop, self.squatted, Role.OWNER)
        Membership.objects.filter(user=self.ana).delete()
        page = self.send(self.path, 200, reason="x", memberships=[owned.pk]).content.decode()
        assert "A merchant keeps its last owner" in page
        assert self.log_in().status_code == 200

    def test_the_console_session_of_a_squatter_who_is_staff_ends(self) -> None:
        User.objects.filter(pk=self.squatted.pk).update(is_staff=True)
        theirs = Client()
        theirs.force_login(User.objects.get(pk=self.squatted.pk))
        assert theirs.get("/admin/password_change/").status_code == 200
        self.send(self.path, 200, reason="x")
        assert theirs.get("/admin/password_change/").status_code == 302

    def test_it_takes_what_changing_the_person_takes(self) -> None:
        colleague = UserFactory.create(is_staff=True)
        self.enter(self.sam, "accounts.change_user")
        for user in (self.root, colleague, self.sam):
            self.send(f"accounts/user/{user.pk}/reclaim/", 403, reason="x")
        self.enter(UserFactory.create(is_staff=True), "accounts.view_user")
        self.send(self.path, 403, reason="x")
        assert self.events("user.reclaimed") == []
