"""Somebody accepts an invitation for a document that is not theirs, and gains nothing elsewhere."""

from typing import Any

from accounts.models import User
from authn.tests.commands import CommandTestCase
from fluxiq.scopes import Role
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import PASSWORD
from merchants.models import Membership
from merchants.tests.member_table import MemberTable

VICTIM = "98765432100"


class SquattedDocumentTests(CommandTestCase, ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        body = {"document": VICTIM, "name": "Victim", "role": Role.OPERATOR}
        invited = self.data(self.post("/users", self.olga, body), 201)
        acceptance = {"invitation": invited["invitation"], "document": VICTIM, "password": PASSWORD}
        self.data(self.post("/auth/invitations/accept", body=acceptance))
        self.squatter = User.objects.get(document=VICTIM)

    def held(self) -> list[Any]:
        """The merchants at which the inviter, signed in as the victim, holds anything."""
        body = {"document": VICTIM, "password": PASSWORD}
        token = self.data(self.post("/auth/login", body=body))["access_token"]
        return [
            each["merchant_id"] for each in self.data(self.get("/auth/me", token))["memberships"]
        ]

    def test_a_command_gives_the_squatter_nothing_at_another_merchant(self) -> None:
        self.run_command(
            *("create_user", VICTIM, "--merchant", self.bookshop.id, "--role", "owner"),
        )
        assert self.held() == [self.bakery.id]
        invited = Membership.objects.get(document=VICTIM, merchant=self.bookshop)
        assert (invited.status, invited.user) == ("invited", None)

    def test_the_console_gives_the_squatter_nothing_at_another_merchant(self) -> None:
        self.enter(self.root)
        for person in (VICTIM, self.squatter.id):
            table = MemberTable(self.bookshop)
            table.add(person, "owner")
            self.client.post(
                f"/admin/merchants/merchant/{self.bookshop.pk}/change/",
                {"name": self.bookshop.name, **table.fields()},
            )
            assert self.held() == [self.bakery.id]
        invited = Membership.objects.get(document=VICTIM, merchant=self.bookshop)
        assert (invited.status, invited.user) == ("invited", None)
