"""The whole service on a cluster of three nodes: exact, in one trip, and forgetting at once."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from fluxiq.tests.engines import require
from fluxiq.tests.served import NO_LIMITS, SERVERS, Service, serving
from fluxiq.tests.valkey_server import start_cluster

pytestmark = pytest.mark.engine

VERIFY = "/api/v1/auth/verify?permission=accounts:read"
LIMIT = 40
OF_CLIENTS = ("eval", "evalsha", "get", "set")


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[Service, list[Redis]]]:
    url, servers = require(start_cluster)
    nodes = [Redis.from_url(server.url) for server in servers]
    limits = {"RATE_LIMIT_API_KEY": f"{LIMIT}/h", "RATE_LIMIT_SERVICE_KEY": "1000/h"}
    environment = {**NO_LIMITS, **limits, "REDIS_URL": url}
    with serving(SERVERS, environment, workers=2) as service:
        yield service, nodes
    for node, server in zip(nodes, servers, strict=True):
        node.close()
        server.stop()


def issued(service: Service) -> tuple[str, str, str]:
    """A new key: the path that ends it, its secret, and the token of who may end it."""
    token = service.sign_in()["access_token"]
    path = f"/api/v1/merchants/{service.demo['merchant_id']}/api-keys"
    body = {"name": "On a cluster", "permissions": ["accounts:read"]}
    key = service.call("POST", path, token, body).json["data"]
    return f"{path}/{key['id']}", key["key"], token


def sent(nodes: list[Redis]) -> Counter[str]:
    """How often each command was called, on all nodes."""
    total = Counter[str]()
    for node in nodes:
        stats = node.info("commandstats")
        total.update(
            {name: stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in OF_CLIENTS}
        )
    return total


def test_a_remembered_caller_is_one_command(cluster: tuple[Service, list[Redis]]) -> None:
    service, nodes = cluster
    _, secret, _ = issued(service)
    for _ in range(6):  # each worker knows the scripts by then
        service.call("GET", VERIFY, secret)
    before = sent(nodes)
    for _ in range(10):
        assert service.call("GET", VERIFY, secret).status == 200
    assert sent(nodes) - before == Counter(evalsha=10)


def test_the_limit_is_exact_over_workers(cluster: tuple[Service, list[Redis]]) -> None:
    service, _ = cluster
    _, secret, _ = issued(service)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(
            pool.map(lambda _: service.call("GET", VERIFY, secret).status, range(3 * LIMIT))
        )
    assert Counter(statuses) == {200: LIMIT, 429: 2 * LIMIT}


def test_a_revocation_holds_at_the_next_request(cluster: tuple[Service, list[Redis]]) -> None:
    service, _ = cluster
    for _ in range(5):
        path, secret, token = issued(service)
        assert {service.call("GET", VERIFY, secret).status for _ in range(4)} == {200}
        assert service.call("DELETE", path, token).status == 204
        assert {service.call("GET", VERIFY, secret).status for _ in range(4)} == {401}
