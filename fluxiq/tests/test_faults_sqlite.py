"""SQLite's disks full, and the clock stepped back: nothing breaks, nobody is let in for it.

Once here; `make prove` repeats each trial.
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fluxiq.tests.faults import serving_on
from fluxiq.tests.load import Client, Load, Seen, ask_all, bearer, by_window, slowest, statuses
from fluxiq.tests.served import NO_LIMITS, Answer, Service
from fluxiq.tests.small_disk import Disk, disk
from fluxiq.tests.stepped_clock import Clock
from fluxiq.tests.waiting import wait_until

pytestmark = pytest.mark.engine

API = "/api/v1"
TRIES = 200  # a file of SQLite's has some room of its own, once it has grown
LIMIT = 20  # of a key, a minute
STEP = 120  # seconds
ANSWER_SECONDS = 20.0  # a hang lasts as long as the client has patience, which is more

repeated = pytest.mark.parametrize("times", [1, pytest.param(3, marks=pytest.mark.proof)])


@dataclass(frozen=True)
class Running:
    """Four workers under a clock of their own, whose files lie on small disks."""

    service: Service
    clock: Clock
    of_database: Disk
    of_counters: Disk

    def ready(self) -> Answer:
        """What /readyz answers."""
        return self.service.call("GET", "/readyz")

    def sign_in(self) -> int:
        """Sign in; the status. A refusal has the envelope."""
        user = self.service.demo["users"][0]
        body = {"document": user["document"], "password": user["password"]}
        answer = self.service.call("POST", f"{API}/auth/login", None, body)
        if answer.status != 200:
            assert answer.json["error"]["code"] == "SERVICE_UNAVAILABLE"
        return answer.status

    def client(self, path: str, credential: str, **how: Any) -> Client:
        """One who asks for that."""
        ports = [self.service.gunicorn.port]
        return Client("client", ports, f"{API}{path}", bearer(credential), **how)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The one of all tests."""
    clock = Clock(tmp_path_factory.mktemp("clock"))
    with disk("16m") as of_database, disk("16m") as of_counters:
        environment = {
            **NO_LIMITS,
            "RATE_LIMIT_API_KEY": f"{LIMIT}/m",
            "COUNTERS_PATH": f"{of_counters.path}/its/counters.sqlite3",
            **clock.environment,
        }
        url = f"sqlite:///{of_database.path}/db.sqlite3"
        with serving_on(url, "", environment) as service:
            yield Running(service, clock, of_database, of_counters)


@repeated
def test_a_full_disk_stops_writing_alone_and_harms_nothing(running: Running, times: int) -> None:
    for _ in range(times):
        fill_the_database_disk(running)


def fill_the_database_disk(running: Running) -> None:
    """What writes is 503, and is not done; what reads goes on; once there is room, all does."""
    service = running.service
    owner = service.sign_in()["access_token"]
    keys = f"{API}/merchants/{service.demo['merchant_id']}/api-keys"
    body = {"name": f"On a full disk {time.time()}", "permissions": ["accounts:read"]}
    told: Counter[int] = Counter()
    with Load(running.client("/accounts", service.sign_in()["access_token"], pause=0.02)) as load:
        with running.of_database.full():
            for _ in range(TRIES):
                answer = service.call("POST", keys, owner, body)
                told[answer.status] += 1
                if answer.status != 201:
                    assert answer.json["error"]["code"] == "SERVICE_UNAVAILABLE"
                if told[503] == 10:
                    break
            assert running.sign_in() == 503
            # What would end a credential is not said to have.
            assert service.call("POST", f"{API}/auth/logout", owner).status == 503
            assert service.call("GET", f"{API}/auth/me", owner).status == 200
            ready = running.ready()
            assert ready.status == 200, service.gunicorn.log()
            assert ready.json["data"] == {"status": "degraded", "database": "takes no writes"}
        assert running.sign_in() == 200
        assert service.call("POST", f"{API}/auth/logout", owner).status == 204
        assert service.call("GET", f"{API}/auth/me", owner).status == 401
    assert told.keys() <= {201, 503}
    assert told[503] == 10
    assert statuses(load.seen).keys() == {200}
    assert slowest(load.seen) < ANSWER_SECONDS
    assert "Traceback" not in service.gunicorn.log()
    with sqlite3.connect(running.of_database.path / "db.sqlite3") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        query = "SELECT count(*) FROM authn_apikey WHERE name = ?"
        assert database.execute(query, [body["name"]]).fetchone() == (told[201],)
    database.close()
    assert "are sound" in service.manage("verify_audit_log")


@repeated
def test_nothing_passes_uncounted_where_the_counters_disk_is_full(
    running: Running, times: int
) -> None:
    for _ in range(times):
        fill_the_counters_disk(running)


def fill_the_counters_disk(running: Running) -> None:
    """What is not counted is 503, and /readyz says why."""
    token = running.service.sign_in()["access_token"]
    not_ready: list[Answer] = []

    def is_not_ready() -> bool:
        answer = running.ready()
        if answer.status == 503:
            not_ready.append(answer)
        return answer.status == 503

    def is_refused() -> bool:
        asked = ask_all(running.client("/auth/verify", token, times=20))
        refused = [answer for answer in asked if answer.status == 503]
        assert {answer.note for answer in refused} <= {"SERVICE_UNAVAILABLE"}
        return bool(refused)

    with Load(running.client("/auth/verify", token, threads=2, pause=0.005)) as load:
        with running.of_counters.full():
            wait_until(is_not_ready, "no room for counts")
            wait_until(lambda: running.sign_in() == 503, "no sign-in")
            wait_until(is_refused, "no call passes")
        wait_until(lambda: running.ready().status == 200, "room for counts")
        freed = time.monotonic()
        assert statuses(ask_all(running.client("/auth/verify", token, times=20))) == {200: 20}
    assert {a.status for a in load.seen} <= {200, 503}
    assert {a.note for a in load.seen if a.status == 503} <= {"SERVICE_UNAVAILABLE"}
    assert {a.status for a in load.seen if a.asked > freed} == {200}
    assert not_ready[0].json["error"]["details"] == {"counters": ["unusable"]}


def ask(running: Running, key: str) -> list[Seen]:
    """Ask often enough to use up two windows."""
    seen = ask_all(running.client("/auth/verify", key, threads=4, times=3 * LIMIT))
    assert statuses(seen).keys() <= {200, 429}
    return seen


@repeated
def test_a_step_back_opens_no_window_anew(running: Running, times: int) -> None:
    merchant = running.service.demo["merchant_id"]
    named = ("--name", "Of this test alone", "--permission", "accounts:read")
    key = running.service.manage("issue_api_key", merchant, *named).strip()
    seen = []
    for _ in range(times):
        for offset in (0, -STEP, -STEP, -STEP // 2, 0):
            running.clock.set(offset)
            seen += ask(running, key)
    windows = by_window(seen)
    assert len(windows) >= 3
    for answers in windows.values():
        assert answers[200] == min(LIMIT, answers.total()), windows


@repeated
def test_a_token_lives_no_longer_than_the_step(running: Running, times: int) -> None:
    for _ in range(times):
        step_back_before_a_token_ends(running)
    running.clock.set(0)


def step_back_before_a_token_ends(running: Running) -> None:
    """A token is taken again after its end, for as long as the clock was stepped back; one that
    was ended is not."""
    service, clock = running.service, running.clock
    clock.set(0)
    kept, dropped = (service.sign_in()["access_token"] for _ in range(2))

    def status(token: str) -> int:
        return service.call("GET", f"{API}/auth/me", token).status

    clock.set(850)  # of their 900 seconds
    assert service.call("POST", f"{API}/auth/logout", dropped).status == 204
    clock.set(910)  # past their end, and the leeway of five seconds
    assert status(kept) == 401
    clock.set(910 - STEP)
    assert status(kept) == 200  # as its clock has it, it has not ended
    assert status(dropped) == 401  # what was ended is
    clock.set(910)  # so long after the step
    assert status(kept) == 401
