"""Invitations on real workers, all at once: the bounds hold exactly, with nothing half-written."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from fluxiq.tests.backstage import Backstage
from fluxiq.tests.canaries import MAIL
from fluxiq.tests.served import ENGINES, NO_LIMITS, Answer, Service, serving

pytestmark = pytest.mark.engine

API = "/api/v1"
AT_ONCE = 16


@dataclass
class Stage:
    """A running service, and a process beside it that makes people."""

    service: Service
    backstage: Backstage

    def owner(self) -> "Owner":
        """The owner of a new merchant, signed in."""
        return Owner(self.service, self.backstage.do("member", role="owner")["access_token"])

    def mails_to(self, mailbox: str) -> int:
        """How many mails to that address were printed."""
        mails = MAIL.findall(self.service.gunicorn.log())
        return sum(f"To: {mailbox}" in mail for mail in mails)


@dataclass
class Owner:
    """Who invites."""

    service: Service
    token: str

    def invite(self, document: int, **more: Any) -> Answer:
        body = {"document": f"{document:011}", "name": "Trial", "role": "operator", **more}
        return self.service.call("POST", f"{API}/users", self.token, body)

    def invited(self) -> list[dict[str, Any]]:
        """The members who are invited, up to a hundred."""
        rows = self.service.call("GET", f"{API}/users?limit=100", self.token).json
        return [row for row in rows["data"] if row["status"] == "invited"]

    def events(self) -> int:
        """How many invitations the trail tells of, up to a hundred."""
        merchant = self.service.call("GET", f"{API}/merchants", self.token).json["data"][0]["id"]
        path = f"{API}/merchants/{merchant}/audit-events?kind=membership.invited&limit=100"
        return len(self.service.call("GET", path, self.token).json["data"])


@pytest.fixture(scope="module", params=ENGINES)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with (
        serving(request.param, NO_LIMITS, workers=2) as service,
        Backstage(service.environment) as backstage,
    ):
        yield Stage(service, backstage)


def test_of_many_at_once_a_hundred_are_open(stage: Stage) -> None:
    owner = stage.owner()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(owner.invite, range(30_000_000_000, 30_000_000_112)))
    statuses = [answer.status for answer in answers]
    assert (statuses.count(201), statuses.count(409)) == (100, 12), statuses
    assert len(owner.invited()) == 100
    assert owner.events() == 100


def test_of_many_at_once_over_merchants_three_are_mailed_to_one_mailbox(stage: Stage) -> None:
    owners = [stage.owner() for _ in range(AT_ONCE)]
    mailbox = "trial@invitations.example"
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda o: o.invite(40_000_000_000, email=mailbox), owners))
    statuses = [answer.status for answer in answers]
    assert (statuses.count(201), statuses.count(429)) == (3, AT_ONCE - 3), statuses
    assert sum(len(owner.invited()) for owner in owners) == 3
    assert sum(owner.events() for owner in owners) == 3
    stage.service.gunicorn.process.wait_until(
        lambda: stage.mails_to(mailbox) >= 3, what="three mails"
    )
    assert stage.mails_to(mailbox) == 3
