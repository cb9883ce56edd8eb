"""API keys while two servers are in the middle of a rotation, and differ in their newest pepper."""

from collections import Counter
from collections.abc import Iterator

import pytest

from fluxiq.tests.backstage import Backstage
from fluxiq.tests.killing import API, WAYS
from fluxiq.tests.served import SECRETS, Answer
from fluxiq.tests.two_servers import Server, two_servers

pytestmark = pytest.mark.engine

OLD = SECRETS["API_KEY_PEPPERS"]
NEW = "newer:a-newer-pepper-of-two-servers-0123456789"
KEY_WAYS = [name for name, (whose, _, _) in WAYS.items() if whose == "api_key"]
LIMIT = 15

Servers = tuple[Server, Server]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    rings = ({"API_KEY_PEPPERS": f"{NEW},{OLD}"}, {"API_KEY_PEPPERS": f"{OLD},{NEW}"})
    with two_servers(*rings) as both:
        yield both


@pytest.fixture(scope="module")
def backstage(servers: Servers) -> Iterator[Backstage]:
    with Backstage(servers[0].service.environment) as stage:
        yield stage


def statuses(servers: Servers, order: str, path: str, token: str) -> list[int]:
    """The statuses of one call after the other; `order` says to which server each goes."""
    return [servers[int(n)].service.call("GET", API + path, token).status for n in order]


@pytest.mark.parametrize("killer", [0, 1])
@pytest.mark.parametrize("way", KEY_WAYS)
def test_a_killed_key_is_refused_on_both_servers(
    servers: Servers, backstage: Backstage, way: str, killer: int
) -> None:
    _, path, kill = WAYS[way]
    victim = backstage.do("api_key")
    root = backstage.do("superuser")["access_token"]
    used = statuses(servers, "00110011", path, victim["secret"])
    assert used == [200] * 8
    assert kill(servers[killer].service, backstage, victim, root) < 300
    after = statuses(servers, "01010101", path, victim["secret"])
    assert 200 not in after


def test_a_key_revoked_by_its_holder_is_refused_on_both_servers(
    servers: Servers, backstage: Backstage
) -> None:
    for killer in servers:
        secret = backstage.do("api_key")["secret"]
        assert statuses(servers, "00110011", "/auth/me", secret) == [200] * 8
        revoked = killer.service.call("POST", f"{API}/auth/revoke", None, {"token": secret})
        assert revoked.status == 200
        assert statuses(servers, "0101", "/auth/me", secret) == [401] * 4


def test_a_key_has_one_limit_over_both_servers(servers: Servers, backstage: Backstage) -> None:
    def exhaust() -> list[Answer]:
        secret = backstage.do("api_key", rate_limit=LIMIT)["secret"]
        return [
            servers[n % 2].service.call("GET", f"{API}/auth/me", secret) for n in range(2 * LIMIT)
        ]

    answers = exhaust()
    if len({answer.headers["x-ratelimit-reset"] for answer in answers}) > 1:
        answers = exhaust()  # in one window: the last one has just begun
    assert Counter(answer.status for answer in answers) == {200: LIMIT, 429: LIMIT}
