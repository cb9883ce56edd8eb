"""Second factors on real workers: what must happen once, or hold at once, does."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest

from fluxiq.tests.backstage import Backstage
from fluxiq.tests.factories import Phone
from fluxiq.tests.served import ENGINES, NO_LIMITS, Answer, Service, serving
from fluxiq.tests.waiting import wait_until

pytestmark = pytest.mark.engine

API = "/api/v1"
PASSWORD = "correct horse battery"


def patiently(call: Callable[[], Answer]) -> Answer:
    """The answer, asked for again while the worker hashes as many passwords as it may."""
    while (answer := call()).status == HTTPStatus.SERVICE_UNAVAILABLE:
        time.sleep(0.05)
    return answer


@dataclass
class Stage:
    """A running service, and a process beside it that makes people."""

    service: Service
    backstage: Backstage

    def person(self, role: str = "manager", **options: Any) -> "Person":
        """A new member of a merchant, signed in without a second factor."""
        made = self.backstage.do("member", role=role, password=PASSWORD, **options)
        return Person(self, made["user"], made["document"], made["merchant"], made["access_token"])


@dataclass
class Person:
    """Somebody who signs in; `token` is of their last session."""

    stage: Stage
    id: str
    document: str
    merchant: str
    token: str

    def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> Answer:
        return self.stage.service.call(method, f"{API}{path}", token or self.token, body)

    def log_in(self) -> Answer:
        """The first step of a sign-in."""
        body = {"document": self.document, "password": PASSWORD}
        return patiently(lambda: self.stage.service.call("POST", f"{API}/auth/login", None, body))

    def sign_in(self) -> None:
        """A new session, without a second factor."""
        self.token = self.log_in().json["data"]["access_token"]

    def challenges(self, count: int) -> list[str]:
        return [self.log_in().json["error"]["challenge"] for _ in range(count)]

    def finish(self, challenge: str, code: str) -> Callable[[], Answer]:
        """A call of the second step."""
        body = {"challenge": challenge, "code": code}
        return lambda: self.stage.service.call("POST", f"{API}/auth/login/mfa", None, body)

    def enrol(self) -> Phone:
        """A second factor, confirmed in the session at hand."""
        body = {"current_password": PASSWORD}
        begun = patiently(lambda: self.call("POST", "/auth/mfa/enrol", body))
        phone = Phone(begun.json["data"]["secret"], ())
        confirmed = self.call("POST", "/auth/mfa/confirm", {"code": phone.code()})
        assert confirmed.status == HTTPStatus.OK, confirmed
        phone.recovery_codes = confirmed.json["data"]["recovery_codes"]
        return phone

    def accounts(self) -> set[int]:
        """How a request to each worker is answered."""
        return {self.call("GET", "/accounts").status for _ in range(12)}


@pytest.fixture(scope="module", params=ENGINES)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with (
        serving(request.param, NO_LIMITS, workers=2) as service,
        Backstage(service.environment) as backstage,
    ):
        yield Stage(service, backstage)


def at_once(calls: Sequence[Callable[[], Answer]]) -> Counter[int]:
    """How often each status came, all calls begun at the same moment."""
    barrier = threading.Barrier(len(calls))

    def begin(call: Callable[[], Answer]) -> int:
        barrier.wait()
        return call().status

    with ThreadPoolExecutor(len(calls)) as pool:
        return Counter(pool.map(begin, calls))


def test_of_ten_uses_of_one_code_at_once_one_signs_in(stage: Stage) -> None:
    person = stage.person()
    phone = person.enrol()
    code = phone.code(1)
    seen = at_once([person.finish(challenge, code) for challenge in person.challenges(10)])
    assert seen[200] == 1, seen
    assert seen[401] + seen[429] == 9, seen


def test_of_ten_uses_of_one_recovery_code_at_once_one_signs_in(stage: Stage) -> None:
    person = stage.person()
    code = person.enrol().recovery_codes[0]
    seen = at_once([person.finish(challenge, code) for challenge in person.challenges(10)])
    assert seen[200] == 1, seen
    assert seen[401] + seen[429] == 9, seen


def test_of_ten_uses_of_one_challenge_at_once_one_signs_in(stage: Stage) -> None:
    person = stage.person()
    codes = person.enrol().recovery_codes
    (challenge,) = person.challenges(1)
    seen = at_once([person.finish(challenge, code) for code in codes])
    assert seen[200] == 1, seen
    # The codes of the others are not spent.
    assert person.call("GET", "/auth/mfa").json["data"]["recovery_codes_left"] == 9


def test_a_body_of_delete_arrives(stage: Stage) -> None:
    person = stage.person()
    code = person.enrol().recovery_codes[0]
    body = {"current_password": PASSWORD, "code": code}
    assert person.call("DELETE", "/auth/mfa", body).status == HTTPStatus.NO_CONTENT
    assert person.log_in().status == HTTPStatus.OK


def test_of_twenty_wrong_codes_at_once_five_are_tried(stage: Stage) -> None:
    for _ in range(3):
        person = stage.person()
        phone = person.enrol()
        wrong = phone.wrong_code()
        opened = person.challenges(2) * 10
        assert at_once([person.finish(c, wrong) for c in opened]) == {401: 5, 429: 15}
        right = person.finish(opened[0], phone.code(1))()
        assert right.status == HTTPStatus.TOO_MANY_REQUESTS


def test_of_twenty_wrong_passwords_at_once_five_are_tried(stage: Stage) -> None:
    person = stage.person()
    body = {"document": person.document, "password": "a wrong password"}
    login = partial(stage.service.call, "POST", f"{API}/auth/login", None, body)
    seen = at_once([partial(patiently, login)] * 20)
    assert seen[401] == 5, seen
    assert seen[401] + seen[429] == 20, seen


def have_signed_in(tokens: list[str]) -> bool:
    """Whether as many sign-ins as are tried at once have succeeded."""
    return len(tokens) >= 4


def test_no_session_without_the_factor_outlives_its_confirmation(stage: Stage) -> None:
    """Passwords are proved all the while, so that some sign-ins straddle the confirmation."""
    for _ in range(3):
        person, stop = stage.person(), threading.Event()
        tokens: list[str] = []

        def keep_signing_in(person: Person, stop: threading.Event, tokens: list[str]) -> None:
            while not stop.is_set():
                answer = person.log_in()
                assert answer.status in (200, 401, 403), answer
                if answer.status == HTTPStatus.OK:
                    tokens.append(answer.json["data"]["access_token"])

        with ThreadPoolExecutor(4) as pool:
            running = [pool.submit(keep_signing_in, person, stop, tokens) for _ in range(4)]
            wait_until(partial(have_signed_in, tokens), "sign-ins")
            person.enrol()
            stop.set()
        for each in running:
            each.result()
        assert tokens
        seen = {person.call("GET", "/auth/me", token=token).status for token in tokens}
        assert seen == {401}
        assert person.accounts() == {200}


def test_a_merchants_requirement_holds_at_the_next_request_on_every_worker(stage: Stage) -> None:
    owner = stage.person("owner")
    member = stage.person(merchant_id=owner.merchant)
    owner.enrol()
    assert member.accounts() == {200}
    path = f"/merchants/{owner.merchant}/security"
    required = owner.call("PATCH", path, {"require_mfa": True})
    assert required.json["data"] == {"require_mfa": True, "members_without_mfa": 1}
    assert member.accounts() == {401}
    assert owner.accounts() == {200}
    member.sign_in()
    assert member.accounts() == {403}
    member.enrol()
    assert member.accounts() == {200}
    stage.backstage.do("reset_mfa", user=member.id)
    assert member.accounts() == {401}
    member.sign_in()
    assert member.accounts() == {403}
    owner.call("PATCH", path, {"require_mfa": False})
    assert member.accounts() == {200}
