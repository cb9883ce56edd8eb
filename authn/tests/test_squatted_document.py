"""Somebody accepts an invitation for a document that is not theirs, and gains nothing elsewhere."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from accounts.models import User
from authn.tests.commands import CommandTestCase
from fluxiq.scopes import Role
from fluxiq.settings.base import BASE_DIR
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import PASSWORD
from merchants.models import Membership
from merchants.tests.member_table import MemberTable

VICTIM = "98765432100"

# Where a row of a membership is written: by its manager, and for the demo's people, who are new.
WRITERS = {"authn/demo_history.py", "merchants/models/membership_queries.py"}
ADDERS = {"authn/demo.py", "authn/management/commands/create_user.py"}


def product() -> Iterator[tuple[str, str]]:
    """The path and text of each file of the product."""
    for app in ("accounts", "authn", "fluxiq", "merchants"):
        for path in (BASE_DIR / app).rglob("*.py"):
            if not {"tests", "migrations"} & set(path.parts):
                yield str(path.relative_to(BASE_DIR)), path.read_text()


class OneWayTests(CommandTestCase):
    def test_a_user_who_exists_is_added_nowhere_without_accepting(self) -> None:
        for merchant in (self.bookshop, self.bakery):
            for user in (self.ana, User(document=self.ana.document, name="Another")):
                with pytest.raises(IntegrityError), transaction.atomic():
                    Membership.objects.add_with_new_user(merchant, user, Role.OWNER)
        assert [m.merchant for m in self.ana.memberships.all()] == [self.bookshop]

    def test_nothing_else_writes_a_membership(self) -> None:
        writes = re.compile(r"\bMembership\(\n|Membership\.objects\.(bulk_)?create\(")
        manager = "merchants/models/membership_queries.py"
        files = dict(product())
        assert "self.create(" in files[manager]
        assert {path for path, text in files.items() if writes.search(text)} | {manager} == WRITERS
        added = {path for path, text in files.items() if ".add_with_new_user(" in text}
        assert added == ADDERS


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
