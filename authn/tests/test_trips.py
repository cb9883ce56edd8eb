"""What a remembered caller's request costs: one command to Valkey, and no query but the view's."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from redis import Redis

from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.engines import Engine, free_port, require
from fluxiq.tests.factories import issue_key
from fluxiq.tests.valkey_server import start_valkey

pytestmark = pytest.mark.skipif(
    not os.environ.get("TEST_REDIS_URL"), reason="the embedded deployment makes no trips"
)

TIMES = 5
BY_SCRIPT = {"mget", "incr", "pexpire", "hincrby", "hget", "hset"}


@pytest.fixture(scope="module")
def valkey() -> Iterator[Engine]:
    """Commands are counted by server, and the suite's is asked by its other processes too."""
    server = require(lambda: start_valkey(free_port()))
    yield server
    server.stop()


class TripTests(ApiTestCase):
    valkey: Engine

    @pytest.fixture(autouse=True)
    def counts_on_it(self, valkey: Engine) -> Iterator[None]:
        self.valkey = valkey
        alone = {**settings.CACHES["default"], "LOCATION": valkey.url}
        # Under a name of its own: counters are kept by name.
        caches = {**settings.CACHES, "alone": alone}
        with self.settings(CACHES=caches, RATELIMIT_USE_CACHE="alone"):
            yield

    def sent(self, path: str, caller: Any) -> dict[str, int]:
        """The commands that clients sent for so many requests, of a caller who is remembered."""
        with Redis.from_url(self.valkey.url) as valkey:
            for _ in range(2):
                assert self.get(path, caller).status_code == 200
            valkey.config_resetstat()
            for _ in range(TIMES):
                assert self.get(path, caller).status_code == 200
            stats = valkey.info("commandstats")
        told = {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in stats.items()}
        return {n: c for n, c in told.items() if n not in BY_SCRIPT and not n.startswith("config")}

    def callers(self) -> tuple[Any, ...]:
        return (issue_key(self.bakery, "accounts:read")[1], self.olga)

    def test_a_verification_is_one_command_and_no_query(self) -> None:
        for caller in self.callers():
            path = "/auth/verify?permission=accounts:read"
            assert self.sent(path, caller) == {"evalsha": TIMES}
            self.bearer(caller)
            with self.assertNumQueries(0):
                self.get(path, caller)

    def test_a_list_of_accounts_is_one_command_and_one_query(self) -> None:
        for caller in self.callers():
            assert self.sent("/accounts", caller) == {"evalsha": TIMES}
            self.bearer(caller)
            with self.assertNumQueries(1):
                self.get("/accounts", caller)
