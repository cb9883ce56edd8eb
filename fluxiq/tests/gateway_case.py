"""What the facts about gateways are told with: the gateway of a class, its upstream, keys."""

import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from fluxiq.tests.gateways import Edit, Gateway, Reply, Start
from fluxiq.tests.served import EMBEDDED, Service, serving
from fluxiq.tests.upstreams import Upstream

API = "/api/v1"
KEY_LIMIT = 30

LIMIT_HEADERS = (
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "RateLimit-Policy",
    "RateLimit",
)

needs_loopback_network = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has the whole of 127.0.0.0/8"
)


class Keys:
    """API keys of the demo's merchant, each new one issued over HTTP."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._owner = service.sign_in()["access_token"]
        self.merchant_id: str = service.demo["merchant_id"]

    def issue(self, *permissions: str, **fields: Any) -> tuple[str, str]:
        """The id and the secret of a new key."""
        body = {"name": "a gateway's test", "permissions": list(permissions), **fields}
        path = f"{API}/merchants/{self.merchant_id}/api-keys"
        answer = self._service.call("POST", path, self._owner, body)
        assert answer.status == 201, answer
        return answer.json["data"]["id"], answer.json["data"]["key"]

    def secret(self, *permissions: str, **fields: Any) -> str:
        """The secret of a new key."""
        return self.issue(*permissions, **fields)[1]


@contextmanager
def guarding() -> Iterator[Service]:
    """The service as gateways ask it: it trusts them about the client's address."""
    settings = {
        "TRUSTED_PROXIES": "127.0.0.1/32",
        "RATE_LIMIT_API_KEY": f"{KEY_LIMIT}/m",
        "RATE_LIMIT_JWT": "100000/m",
        "RATE_LIMIT_ANONYMOUS": "1000/m",
    }
    with serving(EMBEDDED, settings, workers=2) as running:
        yield running


def counted(service: Service, key: str) -> int:
    """How many have counted to a key, this question among them, with seconds left in its window."""
    while True:
        told = service.call("GET", f"{API}/auth/verify", key).headers
        left = int(told["x-ratelimit-reset"]) - time.time()
        if left > 10:
            return int(told["x-ratelimit-limit"]) - int(told["x-ratelimit-remaining"])
        time.sleep(left)


def counts(replies: Sequence[Reply]) -> dict[str, list[int]]:
    """By window, how many had counted in the bucket at each of these, in order."""
    found: dict[str, list[int]] = defaultdict(list)
    for reply in replies:
        limit, left = (int(reply.headers[f"x-ratelimit-{n}"]) for n in ("limit", "remaining"))
        found[reply.headers["x-ratelimit-reset"]].append(limit - left)
    return found


def assert_each_counted_once(replies: Sequence[Reply]) -> None:
    """That the bucket went up by one with each of these, which begin with its first."""
    for window in counts(replies).values():
        assert window == list(range(1, len(window) + 1)), counts(replies)


class GatewayCase:
    """A gateway between the service and an upstream. A derived class names the gateway."""

    start: ClassVar[Start]
    misspelling: ClassVar[Edit]
    # Where its anonymous clients are: each gateway's count for themselves at the one service.
    network: ClassVar[str]
    # Whether it judges, and passes on, `/a/../b` as `/b`, where others refuse it.
    resolves_paths: ClassVar[bool] = False
    # Answers of a server that is not the service, which it must not take for an admission.
    strange: ClassVar[Sequence[int]] = (200, 201, 204, 301, 302, 304)
    # How long a client waits at most where the service does not answer.
    patience: ClassVar[float] = 5.0

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[Upstream]:
        """The one upstream of a class."""
        with Upstream() as running:
            yield running

    @pytest.fixture
    def upstream(self, server: Upstream) -> Upstream:
        """The upstream, with nothing in its memory."""
        server.forget()
        return server

    @pytest.fixture(scope="class")
    @classmethod
    def gateway(cls, service: Service, server: Upstream) -> Iterator[Gateway]:
        """The gateway between the two."""
        with cls.start(service.gunicorn.port, server.port) as running:
            yield running
