"""Outages of Valkey, killed or frozen, as clients under load see them."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from redis import Redis

from fluxiq.tests.faults import FAILURES, Fallible, fallible_valkey
from fluxiq.tests.load import Client, Load, Seen, bearer, by_window, slowest, statuses
from fluxiq.tests.scraped import get, samples, value
from fluxiq.tests.served import NO_LIMITS, SERVERS, Service, serving

API = "/api/v1"
LIMIT = 15  # requests of a key in a window, which is a second here: an outage has many
SLOWEST = 0.5  # seconds
KEPT_SECONDS = 4  # for which the server keeps the count of a window that is over, at least
NOTICED_SECONDS = 1.5  # in which every worker counts on this host
BACK_SECONDS = 2.0  # after the server is, in which every worker counts there again
TOKEN = "metrics-token-of-an-outage"
LIMITED = ("on one connection", "on many")


@dataclass(frozen=True)
class Outage:
    """What the clients saw; the moments at which the server was told to fail, was away, was told to
    come back, and was there; and what it had counted in each window by the end."""

    seen: list[Seen]
    failing: float
    down: float
    coming: float
    up: float
    revoked: float
    counted: Counter[int]
    degraded: tuple[bool, bool]  # while it was away, and by the end, as the metrics had it

    def of(self, client: str) -> list[Seen]:
        """What one client saw."""
        return [seen for seen in self.seen if seen.client == client]

    def windows(self, client: str, first: float, last: float) -> Iterator[tuple[int, Counter[int]]]:
        """The windows of a client's limit that began and ended between these moments."""
        for end, answers in by_window(self.of(client)).items():
            if _wall(first) <= end - 1 and end <= _wall(last):
                yield end, answers


def _wall(moment: float) -> float:
    """A moment of the monotonic clock in Unix time."""
    return time.time() - time.monotonic() + moment


@contextmanager
def service_on_valkey() -> Iterator[tuple[Service, Fallible]]:
    """Four workers on PostgreSQL and a Valkey that may fail."""
    limits = {"RATE_LIMIT_API_KEY": f"{LIMIT}/s", "RATE_LIMIT_SERVICE_KEY": "1000/s"}
    environment = {**NO_LIMITS, **limits, "METRICS_TOKEN": TOKEN}
    with (
        fallible_valkey() as valkey,
        serving(SERVERS, {**environment, "REDIS_URL": valkey.url}) as service,
    ):
        yield service, valkey


def issue(service: Service, owner: str) -> dict[str, Any]:
    """A new key of the demo's merchant."""
    path = f"{API}/merchants/{service.demo['merchant_id']}/api-keys"
    body = {"name": "Trial", "permissions": ["accounts:read"]}
    key: dict[str, Any] = service.call("POST", path, owner, body).json["data"]
    return key


def outage(
    service: Service, valkey: Fallible, failure: str, seconds: float, after: float
) -> Outage:
    """Let the server fail for so long, and look on for a while, as five clients ask. A key that is
    in use is revoked meanwhile."""
    ports = [service.gunicorn.port]
    owner = service.sign_in()["access_token"]
    one, other, doomed = (issue(service, owner) for _ in range(3))
    verify = f"{API}/auth/verify"
    clients = (
        Client("on one connection", ports, verify, bearer(one["key"]), pause=0.015),
        Client(
            "on many", ports, verify, bearer(other["key"]), threads=2, keep_alive=False, pause=0.03
        ),
        Client("doomed", ports, verify, bearer(doomed["key"]), pause=0.1),
        Client("ready", ports, "/readyz", pause=0.05, keep_alive=False),
    )
    keys = f"{API}/merchants/{service.demo['merchant_id']}/api-keys"
    with Load(*clients) as load:
        time.sleep(1.2)
        failing = time.monotonic()
        FAILURES[failure](valkey)
        down = time.monotonic()
        time.sleep(0.3)
        assert service.call("DELETE", f"{keys}/{doomed['id']}", owner).status == 204
        revoked = time.monotonic()
        time.sleep(seconds - 0.3)
        while_away = is_degraded(service)
        coming = time.monotonic()
        valkey.bring_back()
        up = time.monotonic()
        time.sleep(after)
        counted, afterwards = counts(valkey.url), is_degraded(service)
    return Outage(load.seen, failing, down, coming, up, revoked, counted, (while_away, afterwards))


def is_degraded(service: Service) -> bool:
    """Whether some worker counts on this host alone."""
    _, text = get(service.gunicorn.port, TOKEN)
    return value(samples(text), "fluxiq_degraded", part="counters") > 0


def counts(url: str) -> Counter[int]:
    """What the server counted of all keys, by the end of the window."""
    counted: Counter[int] = Counter()
    with Redis.from_url(url, decode_responses=True) as server:
        for name in server.scan_iter("*rl:api_key:*", count=1000):
            counted[int(name[-10:]) + 1] += int(server.get(name) or 0)
    return counted


def check(seen: Outage) -> None:
    """What holds of every outage."""
    assert set(statuses(seen.seen)) == {200, 401, 429}
    assert slowest(seen.seen) < SLOWEST
    assert not [a for a in seen.of("doomed") if a.asked > seen.revoked and a.status == 200]
    for client in LIMITED:
        away = dict(seen.windows(client, seen.down + NOTICED_SECONDS, seen.coming))
        again = dict(seen.windows(client, seen.up + BACK_SECONDS, seen.seen[-1].asked))
        assert away
        assert again
        for answers in (*away.values(), *again.values()):
            assert answers[200] == min(LIMIT, answers.total()), (client, answers)
        # The windows in which it went and came have a limit of each who counted.
        for answers in by_window(seen.of(client)).values():
            assert answers[200] <= 2 * LIMIT
    ready = seen.of("ready")
    for first, last, mode in (
        (0.0, seen.failing, "ready"),
        # A worker that has not missed the server yet finds out as it is asked.
        (seen.down, seen.coming, "degraded"),
        (seen.up + BACK_SECONDS, float("inf"), "ready"),
    ):
        told = {a.note for a in ready if first < a.asked and a.asked + a.seconds < last}
        assert told == {mode}
    assert seen.degraded == (True, False)
    # Counted there again: all that was asked, by the whole host.
    everybody = by_window(a for a in seen.seen if a.client != "ready" and a.status != 401)
    whole = [
        end for end, _ in seen.windows(LIMITED[0], seen.up + BACK_SECONDS, seen.seen[-1].asked)
    ]
    assert {end: everybody[end].total() for end in whole} == {e: seen.counted[e] for e in whole}
