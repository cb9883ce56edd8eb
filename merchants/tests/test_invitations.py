"""POST /users: who invites whom, and what is mailed."""

import re
from unittest import mock

from django.core import mail

from fluxiq.audit import models as audit
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.scopes import Role, Scope
from fluxiq.tests.factories import issue_key, join
from merchants import invitations
from merchants.models import Membership
from merchants.tests.invitations import MEMBER, NINA, InvitationTestCase


class InviteTests(InvitationTestCase):
    def test_the_invited_is_a_member_without_a_user_and_the_invitation_is_told_once(self) -> None:
        made = self.data(self.invite(document="987.654.321-00"), 201)
        assert sorted(made) == sorted([*MEMBER, "invitation"])
        assert made["user_id"] is None
        assert made["document"] == "***.654.321-**"
        assert (made["name"], made["role"], made["status"]) == ("Nina", "operator", "invited")
        assert made["merchant_id"] == self.bakery.id
        for path in (f"/users/{made['id']}", "/users"):
            content = self.get(path, self.olga).content.decode()
            assert made["id"] in content
            assert made["invitation"] not in content
            assert "invitation" not in content

    def test_the_answer_is_not_kept_by_caches(self) -> None:
        assert self.invite().headers["Cache-Control"] == "no-store"

    def test_the_invitation_stands_in_no_row(self) -> None:
        secret = self.invitation()
        told = repr(Membership.objects.values()) + repr(AuditEvent.objects.values())
        assert secret not in told
        assert secret.removeprefix("inv_") not in told
        assert bytes(self.invited().invitation_digest or b"") == invitations.digest(secret)

    def test_two_invitations_are_never_alike_and_hard_to_guess(self) -> None:
        made = {invitations.new() for _ in range(100)}
        assert len(made) == 100
        assert all(len(secret) >= 43 for secret in made)

    def test_inviting_leaves_one_event(self) -> None:
        made = self.data(self.invite(), 201)
        event = AuditEvent.objects.get(kind=Kind.MEMBER_INVITED)
        assert event.object_id == made["id"]
        assert (event.actor_kind, event.actor_id) == ("user", self.olga.id)
        assert event.merchant_id == self.bakery.id
        assert event.before == {}
        assert event.after == {"document": made["document"], "name": "Nina", "role": "operator"}

    def test_who_is_a_member_already_is_a_conflict_in_whatever_state(self) -> None:
        self.invitation()
        Membership.objects.filter(user=self.mario).update(status=Membership.Status.INACTIVE)
        before = self.written()
        for document in (NINA, "987.654.321-00", self.otto.document, self.mario.document):
            response = self.invite(document=document)
            assert self.error(response, 409)["code"] == "CONFLICT"
        assert self.written() == before

    def test_a_member_elsewhere_may_be_invited(self) -> None:
        assert self.invite(document=self.ana.document).status_code == 201

    def test_the_answer_does_not_tell_whether_the_document_banks_here(self) -> None:
        known = self.data(self.invite(document=self.ana.document, name="A"), 201)
        unknown = self.data(self.invite(document=NINA, name="A"), 201)
        for name in ("user_id", "name", "role", "status", "merchant_id"):
            assert known[name] == unknown[name]
        assert sorted(known) == sorted(unknown)

    def test_the_merchant_may_be_left_out_by_who_has_one_and_by_no_other(self) -> None:
        join(self.bookshop, self.olga, Role.OWNER)
        self.assert_invalid(self.invite(), "merchant_id")
        self.assert_invalid(self.invite(self.root), "merchant_id")
        assert self.invite(merchant_id=self.bookshop.id).status_code == 201
        assert self.invite(self.root, merchant_id=self.bakery.id).status_code == 201

    def test_an_invitation_that_cannot_be_recorded_is_not_made(self) -> None:
        self.bearer(self.olga)
        before = self.written()
        with mock.patch.object(audit, "record", side_effect=RuntimeError):
            self.error(self.invite(email="nina@example.com"), 500)
        assert self.written() == before
        assert mail.outbox == []

    def test_a_key_may_invite(self) -> None:
        scopes = (Scope.USERS_WRITE, Scope.ACCOUNTS_READ, Scope.TRANSACTIONS_READ, Scope.PIX_WRITE)
        api_key, secret = issue_key(self.bakery, *scopes)
        assert self.invite(secret).status_code == 201
        event = AuditEvent.objects.get(kind=Kind.MEMBER_INVITED)
        assert (event.actor_kind, event.actor_id) == ("api_key", api_key.id)


class MailTests(InvitationTestCase):
    def mailed(self, email: str) -> str:
        """The invitation that is mailed there."""
        with self.captureOnCommitCallbacks(execute=True):
            self.data(self.invite(email=email), 201)
        (secret,) = re.findall(r"inv_[\w-]{43}", str(mail.outbox[-1].body))
        return str(secret)

    def test_an_address_given_for_a_known_person_is_not_taken_over(self) -> None:
        self.data(self.invite(document=self.ana.document, email="thief@example.com"), 201)
        self.ana.refresh_from_db()
        assert self.ana.email == ""

    def test_it_is_mailed_where_an_address_is_given(self) -> None:
        secret = self.mailed("nina@example.com")
        assert [message.to for message in mail.outbox] == [["nina@example.com"]]
        body = str(mail.outbox[0].body)
        assert "Padaria Aurora" in body
        assert NINA not in body
        assert secret not in mail.outbox[0].subject
        assert self.accept(secret).status_code == 200

    def test_one_that_is_mailed_stands_in_no_answer(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            response = self.invite(email="nina@example.com")
        made = self.data(response, 201)
        assert sorted(made) == MEMBER
        assert "inv_" not in response.content.decode()

    def test_it_is_not_mailed_where_none_is(self) -> None:
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            self.invitation()
        assert (callbacks, mail.outbox) == ([], [])

    def test_it_is_mailed_only_once_it_is_committed(self) -> None:
        with self.captureOnCommitCallbacks() as callbacks:
            self.data(self.invite(email="nina@example.com"), 201)
            assert mail.outbox == []
        assert len(callbacks) == 1

    def test_the_address_is_told_to_nobody(self) -> None:
        response = self.invite(email="nina@example.com")
        assert "nina@example.com" not in response.content.decode()

    def test_what_is_no_address_is_400(self) -> None:
        for email in ("", "nina", "nina@", "a@b@c.com", "nina@example.com\nBcc: all@example.com",
                      "nina@example.com,otto@example.com", "x" * 10_000 + "@example.com", 7, None,
                      ["nina@example.com"]):  # fmt: skip
            self.assert_invalid(self.invite(email=email), "email")
        assert not Membership.objects.filter(document=NINA).exists()

    def test_a_mail_server_that_is_away_takes_the_invitation_from_nobody(self) -> None:
        with (
            mock.patch(
                "django.core.mail.backends.locmem.EmailBackend.send_messages",
                side_effect=OSError("refused"),
            ),
            self.captureOnCommitCallbacks(execute=True),
        ):
            made = self.data(self.invite(email="nina@example.com"), 201)
        assert self.data(self.get(f"/users/{made['id']}", self.olga))["status"] == "invited"

    def test_a_name_of_two_lines_is_not_mailed(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            self.assert_invalid(
                self.invite(email="nina@example.com", name="Nina\nBcc: all@example.com"), "name"
            )
        assert mail.outbox == []

    def test_a_merchant_whose_name_has_two_lines_is_no_fault_of_the_mail(self) -> None:
        self.bakery.name = "Padaria\nBcc: all@example.com"
        self.bakery.save()
        self.mailed("nina@example.com")
        assert len(mail.outbox) == 1
        assert "\n" not in str(mail.outbox[0].message()["Subject"])
