"""Whatever hashes passwords leaves the other requests of a worker their threads."""

import itertools
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from accounts.hashers import WAIT_SECONDS
from fluxiq.slots import slot
from fluxiq.tests.backstage import Backstage
from fluxiq.tests.served import EMBEDDED, NO_LIMITS, Answer, Service, serving
from fluxiq.tests.waiting import wait_until

pytestmark = pytest.mark.engine

WORKERS, THREADS = 2, 4
MAY_WAIT = WORKERS * THREADS // 2
SENT = 2 * WORKERS * THREADS
API, PASSWORD, WRONG = "/api/v1", "correct horse battery", "a wholly wrong password"

_numbers = itertools.count(1)

Call = Callable[[], Answer]


@dataclass
class Stage:
    """A running service, a process beside it that makes people, and a bystander's API key."""

    service: Service
    backstage: Backstage
    key: str

    def verify(self) -> Answer:
        """What a gateway asks for the bystander."""
        return self.service.call("GET", f"{API}/auth/verify", self.key)

    def call(self, method: str, path: str, token: str | None, body: Mapping[str, str]) -> Answer:
        """One call, from an address of its own."""
        return self.service.call(method, f"{API}{path}", token, body, from_elsewhere())

    @contextmanager
    def no_core_is_free(self) -> Iterator[None]:
        """A block in which every hash of this machine waits."""
        directory = Path(self.service.environment["COUNTERS_PATH"]).parent / "hashing"
        cores = len(os.sched_getaffinity(0))
        with ExitStack() as held:
            for _ in range(cores):
                held.enter_context(slot(directory, cores, WAIT_SECONDS))
            yield


def from_elsewhere() -> dict[str, str]:
    """The headers of a call from an address that nothing else came from."""
    number = next(_numbers)
    return {"X-Forwarded-For": f"198.18.{number // 256}.{number % 256}"}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    trusting = {**NO_LIMITS, "WEB_THREADS": str(THREADS), "TRUSTED_PROXIES": "127.0.0.1/32"}
    with (
        serving(EMBEDDED, trusting, workers=WORKERS) as service,
        Backstage(service.environment) as backstage,
    ):
        yield Stage(service, backstage, backstage.do("api_key")["secret"])


# Whatever hashes a password, and the status of its answer once it was hashed


def sign_in(stage: Stage) -> tuple[Call, int]:
    def call() -> Answer:
        body = {"document": f"{30_000_000_000 + next(_numbers)}", "password": WRONG}
        return stage.call("POST", "/auth/login", None, body)

    return call, 401


def console_sign_in(
    stage: Stage, whence: Callable[[], dict[str, str]] = from_elsewhere
) -> tuple[Call, int]:
    page = stage.service.call("GET", "/admin/login/")
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": page.headers["set-cookie"].partition(";")[0],
    }
    (token,) = set(re.findall(rb'name="csrfmiddlewaretoken" value="(\w+)"', page.content))

    def call() -> Answer:
        form = {
            "csrfmiddlewaretoken": token.decode(),
            "username": f"{30_000_000_000 + next(_numbers)}",
            "password": WRONG,
        }
        body, sent = urlencode(form).encode(), {**headers, **whence()}
        return stage.service.call("POST", "/admin/login/", None, body, sent)

    return call, 200


def password_change(stage: Stage) -> tuple[Call, int]:
    token = stage.backstage.do("member", password=PASSWORD)["access_token"]
    body = {"current_password": WRONG, "new_password": "another long password"}
    return lambda: stage.call("POST", "/auth/password", token, body), 400


def invitation(stage: Stage) -> tuple[Call, int]:
    def call() -> Answer:
        document = f"{30_000_000_000 + next(_numbers)}"
        body = {"invitation": "inv_unknown", "document": document, "password": WRONG}
        return stage.call("POST", "/auth/invitations/accept", None, body)

    return call, 401


def reset(stage: Stage) -> tuple[Call, int]:
    people = [stage.backstage.do("member")["user"] for _ in range(SENT + 1)]
    tokens = iter([stage.backstage.do("reset_token", user=user) for user in people])

    def call() -> Answer:
        body = {"token": next(tokens), "new_password": "another long password"}
        return stage.call("POST", "/auth/password/reset", None, body)

    return call, 204


def mfa_enrolment(stage: Stage) -> tuple[Call, int]:
    token = stage.backstage.do("member", password=PASSWORD)["access_token"]
    body = {"current_password": WRONG}
    return lambda: stage.call("POST", "/auth/mfa/enrol", token, body), 400


def mfa_removal(stage: Stage) -> tuple[Call, int]:
    user = stage.backstage.do("member", password=PASSWORD)["user"]
    stage.backstage.do("challenge", user=user)
    token = stage.backstage.do("sign_in", user=user)["access_token"]
    body = {"current_password": WRONG, "code": "000000"}
    return lambda: stage.call("DELETE", "/auth/mfa", token, body), 400


HASHING = [
    sign_in,
    console_sign_in,
    password_change,
    invitation,
    reset,
    mfa_enrolment,
    mfa_removal,
]


@pytest.mark.parametrize("endpoint", HASHING, ids=lambda endpoint: endpoint.__name__)
def test_half_of_the_threads_wait_to_hash_and_the_others_answer_at_once(
    stage: Stage, endpoint: Callable[[Stage], tuple[Call, int]]
) -> None:
    call, once_hashed = endpoint(stage)

    def done(futures: list["Future[Answer]"]) -> list["Future[Answer]"]:
        return [future for future in futures if future.done()]

    with ThreadPoolExecutor(SENT) as pool:
        with stage.no_core_is_free():
            began = time.monotonic()
            sent = [pool.submit(call) for _ in range(SENT)]
            wait_until(lambda: len(done(sent)) >= SENT - MAY_WAIT, "those that are refused")
            took = time.monotonic() - began
            verified = [stage.verify().status for _ in range(THREADS)]
            refused = [future.result() for future in done(sent)]
            waiting = [future for future in sent if not future.done()]
        assert took < WAIT_SECONDS  # they did not wait for a core
        assert {answer.status for answer in refused} == {503}
        assert {answer.headers["retry-after"] for answer in refused} == {"2"}
        assert verified == [200] * THREADS
        assert 1 <= len(waiting) <= MAY_WAIT
        assert {future.result().status for future in waiting} == {once_hashed}
    assert call().status == once_hashed  # every place was given back


def test_a_command_hashes_while_clients_sign_in_without_pause(stage: Stage) -> None:
    call, _ = sign_in(stage)
    is_over = False

    def hammer() -> set[int]:
        seen = set()
        while not is_over:
            seen.add(call().status)
        return seen

    with ThreadPoolExecutor(SENT) as pool:
        hammering = [pool.submit(hammer) for _ in range(SENT)]
        arguments = ("create_user", "30000000000", "--name", "Nina", "--password-stdin")
        try:
            made = stage.backstage.do("manage", arguments=arguments, stdin=f"{PASSWORD}\n")
        finally:
            is_over = True
        seen = set().union(*(future.result() for future in hammering))
    assert "usr_" in made
    assert seen == {401, 503}


def twenty_tries(stage: Stage) -> tuple[Counter[int], bool]:
    """How twenty tries at once from one address were answered, and whether in one window."""
    address = from_elsewhere()
    call, _ = console_sign_in(stage, lambda: address)
    began = time.time()
    with ThreadPoolExecutor(20) as pool:
        tries = [pool.submit(call) for _ in range(20)]
    window_began = time.time() + int(call().headers["retry-after"]) - 60
    return Counter(each.result().status for each in tries), window_began < began


def test_of_twenty_tries_at_the_console_from_one_address_ten_are_made(stage: Stage) -> None:
    seen, is_one_window = twenty_tries(stage)
    while not is_one_window:
        seen, is_one_window = twenty_tries(stage)
    assert seen[429] == 10
    assert seen[200] + seen[503] == 10  # all of them, as far as they could be hashed just then
    assert seen[200]
