"""The use of keys over real workers: the counts are what the clients saw, whoever is killed."""

import http.client
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from fluxiq.counters.naming import tag_of
from fluxiq.tests.served import ENGINES, NO_LIMITS, Service, serving
from fluxiq.tests.waiting import wait_until

pytestmark = pytest.mark.engine

API = "/api/v1"
LIMIT = 30
THREADS = 8
OUTCOMES = {200: "admitted", 404: "admitted", 401: "refused", 403: "refused", 429: "limited"}
ASKED = ("/accounts", "/auth/verify?permission=pix:write", "/accounts/none")  # 200, 403, 404

Told = Counter[str]


@pytest.fixture(scope="module", params=ENGINES)
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """A few workers, with a small limit for keys."""
    limits = {**NO_LIMITS, "RATE_LIMIT_API_KEY": f"{LIMIT}/m"}
    with serving(request.param, limits, workers=3) as running:
        yield running


class Owner:
    """The owner of the demo's merchant, who manages its keys."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._keys = f"{API}/merchants/{service.demo['merchant_id']}/api-keys"
        self._token = service.sign_in()["access_token"]

    def call(self, method: str, path: str = "", body: Any = None) -> Any:
        """What is answered below the merchant's keys."""
        answer = self._service.call(method, self._keys + path, self._token, body)
        return answer.json["data"] if answer.content else None

    def issue(self) -> dict[str, Any]:
        """A new key that may read accounts."""
        body = {"name": "Trial", "permissions": ["accounts:read"]}
        key: dict[str, Any] = self.call("POST", "", body)
        return key

    def counts(self, key: dict[str, Any]) -> Told:
        """What the API tells of a key's use over all hours."""
        total = Told()
        for row in self.call("GET", f"/{key['id']}/usage"):
            del row["hour"]
            total.update(row)
        return total


class Load:
    """Threads that ask with these keys in turn, and what each key was answered."""

    def __init__(self, service: Service, *keys: dict[str, Any]) -> None:
        self._service = service
        self._keys = keys
        self.seen = {key["id"]: Told() for key in keys}
        self.unanswered = Told()
        self.under_way = threading.Event()

    def run(self, requests: int) -> None:
        """Ask so often in all, and return when every answer is there."""
        with ThreadPoolExecutor(THREADS) as pool:
            told = list(pool.map(self._ask, range(requests)))
        for key_id, outcome in told:
            if outcome is None:
                self.unanswered[key_id] += 1
            else:
                self.seen[key_id][outcome] += 1

    def _ask(self, number: int) -> tuple[str, str | None]:
        key = self._keys[number % len(self._keys)]
        path = API + ASKED[number // len(self._keys) % len(ASKED)]
        if number > 10 * THREADS:
            self.under_way.set()
        try:
            status = self._service.call("GET", path, key["key"]).status
        except (http.client.HTTPException, OSError):
            return key["id"], None
        return key["id"], OUTCOMES[status]


def test_the_counts_are_what_the_clients_saw(service: Service) -> None:
    owner = Owner(service)
    keys = [owner.issue() for _ in range(3)]
    owner.call("DELETE", f"/{keys[2]['id']}")
    load = Load(service, *keys)
    flusher = threading.Thread(target=service.manage, args=("flush_usage",))
    flusher.start()  # a second one, in the midst of it
    load.run(210)
    last = datetime.now(UTC)
    flusher.join()
    service.manage("flush_usage")
    assert not load.unanswered
    for key in keys:
        assert owner.counts(key) == load.seen[key["id"]], key["id"]
    assert set(load.seen[keys[0]["id"]]) == {"admitted", "refused", "limited"}
    assert set(load.seen[keys[2]["id"]]) == {"refused"}
    used = datetime.fromisoformat(owner.call("GET", f"/{keys[0]['id']}")["last_used_at"])
    assert timedelta(0) <= last - used <= timedelta(seconds=2)
    assert owner.call("GET", f"/{keys[2]['id']}")["last_used_at"] is None


def together(owner: Owner) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two new keys whose use is moved in one batch: of one shard."""
    found: dict[str, dict[str, Any]] = {}
    while True:
        key = owner.issue()
        tag = tag_of(key["id"])
        if tag in found:
            return found[tag], key
        found[tag] = key


def test_who_holds_a_key_keeps_the_last_use_of_no_other_from_being_noted(service: Service) -> None:
    url = service.environment["DATABASE_URL"]
    if not url.startswith("postgres"):
        pytest.skip("on SQLite all writers take turns")
    owner = Owner(service)
    held, other = together(owner)
    for key in (held, other):
        assert service.call("GET", f"{API}/accounts", key["key"]).status == 200

    def is_noted(key: dict[str, Any]) -> bool:
        return owner.call("GET", f"/{key['id']}")["last_used_at"] is not None

    with psycopg.connect(url) as connection:
        connection.execute("UPDATE authn_apikey SET name = name WHERE id = %s", [held["id"]])
        flusher = threading.Thread(target=service.manage, args=("flush_usage",))
        flusher.start()
        wait_until(lambda: is_noted(other), "the other key's use")
        assert not is_noted(held)
    flusher.join()
    assert is_noted(held)


def test_a_worker_that_is_killed_loses_no_answered_request(service: Service) -> None:
    owner = Owner(service)
    keys = [owner.issue() for _ in range(2)]
    load = Load(service, *keys)
    runner = threading.Thread(target=load.run, args=(180,))
    runner.start()
    assert load.under_way.wait(20)
    os.kill(min(service.gunicorn.workers()), signal.SIGKILL)
    runner.join()
    service.manage("flush_usage")
    assert load.unanswered.total() <= THREADS
    for key in keys:
        seen, counted = load.seen[key["id"]], owner.counts(key)
        unanswered = load.unanswered[key["id"]]
        assert seen.total() <= counted.total() <= seen.total() + unanswered
        for outcome in OUTCOMES.values():
            assert abs(counted[outcome] - seen[outcome]) <= unanswered, (counted, seen)


def test_a_worker_that_is_told_to_end_moves_what_waits(service: Service) -> None:
    owner = Owner(service)
    key = owner.issue()
    load = Load(service, key)
    load.run(30)
    told = sorted(service.gunicorn.workers())[:2]  # the oldest, who counted
    for pid in told:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: service.gunicorn.workers().isdisjoint(told), "their end", pause=0.05)
    assert owner.counts(key) == load.seen[key["id"]]
