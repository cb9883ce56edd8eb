"""What is killed stays killed with the counting server down, or frozen at that very moment."""

import time
from collections import Counter

import pytest
import redis

from fluxiq.tests.backstage import Backstage
from fluxiq.tests.engines import require
from fluxiq.tests.killing import API, WAYS, Asker, trial
from fluxiq.tests.served import NO_LIMITS, SERVERS, serving
from fluxiq.tests.valkey_server import start_valkey
from fluxiq.tests.waiting import wait_until

pytestmark = pytest.mark.proof

ROUNDS = 5
BOUND = 10.0  # seconds, as docs/operate.md states


def test_nothing_killed_is_accepted_while_the_server_is_down() -> None:
    valkey = require(lambda: start_valkey(None, "--maxmemory", "64mb"))
    after: Counter[int] = Counter()
    environment = {**NO_LIMITS, "REDIS_URL": valkey.url}
    with serving(SERVERS, environment) as service, Backstage(service.environment) as backstage:
        root = backstage.do("superuser")["access_token"]
        valkey.stop()
        for _ in range(ROUNDS):
            for way in WAYS.values():
                after += trial(service, backstage, root, way)[1]
    print(f"\nserver down: {ROUNDS * len(WAYS)} killed, answers after {dict(after)}")
    assert after[200] == 0
    assert set(after) <= {401, 403}


def test_what_is_killed_while_the_server_is_frozen_is_dead_within_the_bound() -> None:
    valkey = require(lambda: start_valkey(None, "--maxmemory", "64mb"))
    environment = {**NO_LIMITS, "REDIS_URL": valkey.url}
    late: Counter[int] = Counter()
    early: Counter[int] = Counter()
    with serving(SERVERS, environment) as service, Backstage(service.environment) as backstage:
        root = backstage.do("superuser")["access_token"]
        server = redis.Redis.from_url(valkey.url)
        for name, (whose, path, kill) in WAYS.items():
            victim = backstage.do(whose)
            token = victim.get("access_token") or victim["secret"]
            if whose == "member":
                victim["session"] = backstage.do("session_of", user=victim["user"])
            server.flushall()  # of the tombstones that making the victim laid
            askers = [Asker(service, path, token) for _ in range(2)]
            for asker in askers:
                asker.start()
            try:
                wait_until(lambda: all(len(asker.seen) > 5 for asker in askers))  # noqa: B023 - called here
                valkey.pause()
                if name == "revocation by its holder":
                    body = {"token": token}
                    status = service.call("POST", f"{API}/auth/revoke", None, body).status
                else:
                    status = kill(service, backstage, victim, root)
                dead = time.monotonic()
                assert status < 300, (name, status)
                valkey.resume()
                wait_until(lambda: any(a.asked_since(dead + BOUND) for a in askers))  # noqa: B023 - called here
            finally:
                for asker in askers:
                    asker.stop.set()
                for asker in askers:
                    asker.join()
            for asker in askers:
                early += Counter(s for t, s in asker.seen if dead < t <= dead + BOUND)
                late += Counter(asker.asked_since(dead + BOUND))
    print(
        f"\nserver frozen: {len(WAYS)} killed, answers within {BOUND:.0f} s {dict(early)},"
        f" later {dict(late)}"
    )
    assert late[200] == 0
    assert set(late) <= {401, 403}
