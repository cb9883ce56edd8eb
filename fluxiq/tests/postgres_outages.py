"""Outages of PostgreSQL, frozen or killed, as clients under load see them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from authn import keys
from fluxiq.tests.faults import (
    FAILURES,
    POOL,
    WORKERS,
    Connections,
    Fallible,
    fallible_postgres,
    serving_on,
)
from fluxiq.tests.load import Client, Load, Seen, bearer, slowest, statuses
from fluxiq.tests.served import NO_LIMITS, Service

ANSWER_SECONDS = 3.0  # in which a request is answered 503, at the latest
BACK_SECONDS = 2.5  # after the server is, in which the service is back
ENVELOPE = "SERVICE_UNAVAILABLE"


@dataclass(frozen=True)
class Outage:
    """What the clients saw: before the failure, while the server was away, and once all must be
    back; after how many seconds all were; and the most connections there ever were."""

    before: list[Seen]
    during: list[Seen]
    afterwards: list[Seen]
    back_after: float
    connections: int

    def of(self, client: str) -> list[Seen]:
        """What one client saw while the server was away."""
        return [seen for seen in self.during if seen.client == client]


@contextmanager
def service_on_postgres() -> Iterator[tuple[Service, Fallible]]:
    """Four workers on a PostgreSQL that may fail. Nothing is remembered: all is asked of it."""
    with fallible_postgres() as postgres, serving_on(postgres.url, "", NO_LIMITS) as service:
        yield service, postgres


def outage(service: Service, postgres: Fallible, failure: str, seconds: float) -> Outage:
    """Let the server fail for so long while nine clients ask."""
    ports = [service.gunicorn.port]
    token = service.sign_in()["access_token"]
    key = service.demo["key"]
    nobodys = keys.generate("live")  # well formed: only the database can tell
    clients = (
        Client("key", ports, "/api/v1/auth/verify", bearer(key), threads=2, pause=0.02),
        Client("list", ports, "/api/v1/accounts", bearer(key), threads=2, pause=0.02),
        Client("token", ports, "/api/v1/auth/me", bearer(token), pause=0.02, keep_alive=False),
        Client("nobody", ports, "/api/v1/auth/verify", bearer(nobodys), pause=0.02),
        Client("ready", ports, "/readyz", pause=0.1, keep_alive=False),
        Client("live", ports, "/healthz", pause=0.1, keep_alive=False),
    )
    with Connections(postgres.url, service.gunicorn) as connections, Load(*clients) as load:
        time.sleep(0.5)
        failing = time.monotonic()
        FAILURES[failure](postgres)
        down = time.monotonic()
        time.sleep(seconds)
        up = time.monotonic()
        postgres.bring_back()
        back = time.monotonic()
        time.sleep(BACK_SECONDS + 1)
    failed = [
        seen.asked + seen.seconds
        for seen in load.seen
        if seen.status != (401 if seen.client == "nobody" else 200)
    ]
    return Outage(
        [seen for seen in load.seen if seen.asked + seen.seconds < failing],
        # What was asked just before may have been under way, and answered.
        [seen for seen in load.seen if down < seen.asked and seen.asked + seen.seconds < up],
        [seen for seen in load.seen if seen.asked > back + BACK_SECONDS],
        max(failed) - back,
        connections.most,
    )


def check(seen: Outage) -> None:
    """What holds of every outage."""
    assert set(statuses(seen.before)) == {200, 401}
    assert set(statuses(seen.afterwards)) == {200, 401}
    for client in ("key", "list", "token", "nobody", "ready"):
        assert set(statuses(seen.of(client))) == {503}, client
        assert {answer.note for answer in seen.of(client)} == {ENVELOPE}
    assert set(statuses(seen.of("live"))) == {200}
    assert slowest(seen.during) < ANSWER_SECONDS
    assert seen.back_after < BACK_SECONDS
    assert seen.connections <= WORKERS * POOL
