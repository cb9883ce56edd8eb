"""Ten thousand requests and more through each kind of deploy, and none of them fails."""

from collections.abc import Iterator

import pytest

from fluxiq.tests.deploying import Pair, Traffic, pair, reload
from fluxiq.tests.served import NO_LIMITS, SERVERS, serving
from fluxiq.tests.waiting import wait_until

pytestmark = pytest.mark.proof

REQUESTS = 10_000
ROUNDS = 3


@pytest.fixture(scope="module")
def two() -> Iterator[Pair]:
    """Two servers behind nginx, on PostgreSQL and Valkey."""
    with pair(SERVERS) as running:
        yield running


def tell(what: str, traffic: Traffic, *, keep_alive: bool) -> None:
    """Print the figures of docs/proof.md, and hold them to what is promised."""
    print(
        f"\n{what}, {'with' if keep_alive else 'without'} keep-alive: {traffic.answered} answered,"
        f" failed {dict(traffic.failures)}, slowest {traffic.slowest:.2f} s"
    )
    assert not traffic.failures
    assert traffic.answered >= REQUESTS


@pytest.mark.parametrize("keep_alive", [True, False])
def test_three_reloads(two: Pair, keep_alive: bool) -> None:
    server = two.servers[0]
    with Traffic(server.port, two.service.demo["key"], keep_alive=keep_alive) as traffic:
        for _ in range(ROUNDS):
            traffic.wait_for(REQUESTS // (ROUNDS + 1))
            reload(server)
        traffic.wait_for(max(REQUESTS - traffic.asked, REQUESTS // (ROUNDS + 1)))
    tell("3 reloads (SIGHUP)", traffic, keep_alive=keep_alive)


@pytest.mark.parametrize("keep_alive", [True, False])
def test_three_replacements_behind_nginx(two: Pair, keep_alive: bool) -> None:
    with Traffic(two.nginx.port, two.service.demo["key"], keep_alive=keep_alive) as traffic:
        for number in range(ROUNDS):
            traffic.wait_for(REQUESTS // (ROUNDS + 1))
            two.replace(number % 2)
        traffic.wait_for(max(REQUESTS - traffic.asked, REQUESTS // (ROUNDS + 1)))
    tell("3 replacements (SIGTERM) behind nginx", traffic, keep_alive=keep_alive)


def test_workers_that_retire() -> None:
    environment = {**NO_LIMITS, "WEB_MAX_REQUESTS": "1000"}
    with serving(SERVERS, environment, workers=4) as service:
        for keep_alive in (True, False):
            before = service.gunicorn.workers()
            port, key = service.gunicorn.port, service.demo["key"]
            with Traffic(port, key, keep_alive=keep_alive) as traffic:
                traffic.wait_for(REQUESTS)
            wait_until(lambda: len(service.gunicorn.workers()) == len(before), "all workers")  # noqa: B023 - called here
            assert not service.gunicorn.workers() & before
            tell("max_requests 1000, 4 workers", traffic, keep_alive=keep_alive)
