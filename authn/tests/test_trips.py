"""What a remembered caller's request costs: one command to Valkey, and no query but the view's."""

import os
from typing import Any

import pytest
from redis import Redis

from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import issue_key

pytestmark = pytest.mark.skipif(
    not os.environ.get("TEST_REDIS_URL"), reason="the embedded deployment makes no trips"
)

TIMES = 5
BY_SCRIPT = {"mget", "incr", "pexpire", "hincrby", "hget", "hset"}


class TripTests(ApiTestCase):
    def sent(self, path: str, caller: Any) -> dict[str, int]:
        """The commands that clients sent for so many requests, of a caller who is remembered."""
        with Redis.from_url(os.environ["TEST_REDIS_URL"]) as valkey:
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
