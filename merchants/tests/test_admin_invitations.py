"""Staff invite people to a merchant at the console: nobody becomes a member without accepting."""

import re
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session as ConsoleSession
from django.core import mail

from fluxiq.audit.models import AuditEvent
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import PASSWORD
from merchants.models import Membership
from merchants.tests.invitations import ACCEPT, NINA
from merchants.tests.member_table import MemberTable

INVITATION = re.compile(r"inv_[\w-]{43}")


class InvitationTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enter(self.root)
        self.table = MemberTable(self.bakery)
        self.path = f"merchants/merchant/{self.bakery.pk}/change/"

    def save(self, expect: int = 200) -> Any:
        with self.captureOnCommitCallbacks(execute=True):
            return self.send(self.path, expect, name=self.bakery.name, **self.table.fields())

    def invited(self, document: str) -> Membership:
        found: Membership = Membership.objects.get(document=document, merchant=self.bakery)
        return found

    def errors(self, response: Any) -> list[str]:
        (inline,) = response.context["inline_admin_formsets"]
        return [m for errors in inline.formset.errors for ms in errors.values() for m in ms]

    def test_a_known_person_is_invited_by_document_and_the_invitation_is_shown_once(self) -> None:
        document = self.ana.document
        self.table.add(f"{document[:3]}.{document[3:6]}.{document[6:9]}-{document[9:]}", "operator")
        response = self.save()
        (secret,) = set(INVITATION.findall(response.content.decode()))
        assert "no-store" in response.headers["Cache-Control"]
        assert not response.cookies.get("messages")
        membership = self.invited(document)
        assert (membership.role, membership.status) == ("operator", "invited")
        assert (membership.user, membership.name) == (None, "Ana")
        (event,) = self.events("membership.invited")
        assert (event.actor_kind, event.actor_id) == ("staff", self.root.id)
        kept = repr([s.get_decoded() for s in ConsoleSession.objects.all()])
        kept += repr(list(LogEntry.objects.values())) + repr(list(AuditEvent.objects.values()))
        assert secret not in kept
        assert not INVITATION.search(self.look(self.path))
        body = {"invitation": secret, "document": document, "password": PASSWORD}
        assert self.data(self.post(ACCEPT, body=body))["user_id"] == self.ana.id

    def test_sending_the_form_again_makes_no_second_invitation(self) -> None:
        self.table.add(self.ana.id, "owner")
        self.save()
        again = self.save()
        assert self.refusals(again) == ["This document is a member of the merchant already"]
        assert not INVITATION.search(again.content.decode())

    def test_a_document_without_a_user_is_invited_by_name(self) -> None:
        self.table.add(NINA, "owner")
        assert self.errors(self.save()) == ["Required: this document has no user yet."]
        self.table.rows[-1]["name"] = "Nina"
        (secret,) = set(INVITATION.findall(self.save().content.decode()))
        body = {"invitation": secret, "document": NINA, "password": PASSWORD}
        assert self.data(self.post(ACCEPT, body=body))["name"] == "Nina"

    def test_each_of_several_is_shown(self) -> None:
        self.table.add(NINA, "owner", name="Nina")
        self.table.add(self.ana.id, "operator")
        shown = self.save().content.decode()
        assert len(set(INVITATION.findall(shown))) == 2
        ids = re.findall(r'<code id="([^"]+)"', shown)
        assert len(set(ids)) == 2

    def test_one_with_an_address_is_mailed_and_stands_on_no_page(self) -> None:
        self.table.add(self.ana.id, "operator", email="ana@example.com")
        response = self.save(302)
        assert self.said(response)[0] == "Invited by mail: Ana"
        (message,) = mail.outbox
        assert message.to == ["ana@example.com"]
        (secret,) = INVITATION.findall(str(message.body))
        assert secret not in response.content.decode()
        self.ana.refresh_from_db()
        assert self.ana.email == ""

    def test_a_mailbox_that_had_three_gets_no_fourth_and_nothing_is_saved(self) -> None:
        for document in ("98765432101", "98765432102", "98765432103"):
            self.table = MemberTable(self.bakery)
            self.table.add(document, "operator", name="Nina", email="nina@example.com")
            self.save(302)
        self.table = MemberTable(self.bakery)
        self.table.add(NINA, "operator", name="Nina", email="Nina@example.com")
        (refusal,) = self.refusals(self.save())
        assert refusal.startswith("Too many in a short time. Retry after ")
        assert len(mail.outbox) == 3
        assert not Membership.objects.filter(document=NINA).exists()

    def test_what_names_nobody_is_refused(self) -> None:
        for person in ("usr_unknown", "nobody", "123"):
            self.table = MemberTable(self.bakery)
            self.table.add(person, "owner", name="Nina")
            assert self.errors(self.save()) == ["Neither a document nor the id of a user."]
