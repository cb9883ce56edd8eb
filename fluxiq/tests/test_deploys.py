"""Deploying fails no request: reloads, replacements behind nginx, and workers that retire."""

import os
import signal
from collections.abc import Iterator

import pytest

from fluxiq.tests.deploying import Pair, Traffic, pair, reload
from fluxiq.tests.served import EMBEDDED
from fluxiq.tests.waiting import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.proof]

REQUESTS = 250


@pytest.fixture(scope="module")
def two() -> Iterator[Pair]:
    """Two servers behind nginx."""
    with pair(EMBEDDED) as running:
        yield running


@pytest.mark.parametrize("keep_alive", [True, False])
def test_a_reload_fails_no_request(two: Pair, keep_alive: bool) -> None:
    server = two.servers[0]
    with Traffic(server.port, two.service.demo["key"], keep_alive=keep_alive) as traffic:
        traffic.wait_for(REQUESTS)
        reload(server)
        assert two.service.call("GET", "/readyz").status == 200
        traffic.wait_for(REQUESTS)
    assert not traffic.failures
    assert traffic.answered >= 2 * REQUESTS


def test_a_replacement_behind_nginx_fails_no_request(two: Pair) -> None:
    with Traffic(two.nginx.port, two.service.demo["key"], keep_alive=True) as traffic:
        traffic.wait_for(REQUESTS)
        two.replace(0)
        traffic.wait_for(REQUESTS)
    assert not traffic.failures
    assert traffic.answered >= 2 * REQUESTS


def test_told_to_stop_it_is_not_ready_and_goes_on_serving(two: Pair) -> None:
    server, key = two.service.gunicorn, two.service.demo["key"]
    assert two.service.call("GET", "/readyz").status == 200
    os.kill(server.process.pid, signal.SIGTERM)
    wait_until(lambda: two.service.call("GET", "/readyz").status == 503, "not ready")
    answer = two.service.call("GET", "/readyz")
    assert answer.json["error"]["details"] == {"server": ["stopping"]}
    served = two.service.call("GET", "/api/v1/accounts", key)
    assert (served.status, served.headers["connection"]) == (200, "close")
    assert two.service.call("GET", "/healthz").status == 200
    wait_until(lambda: not server.process.running, "its end")
    server.__exit__(None, None, None)
    server.__enter__()
    assert two.service.call("GET", "/readyz").status == 200
