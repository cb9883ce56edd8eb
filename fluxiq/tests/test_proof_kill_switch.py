"""1,000 credentials killed under traffic on four workers: none is accepted afterwards."""

from collections import Counter

import pytest
import redis

from fluxiq.tests.backstage import Backstage
from fluxiq.tests.killing import WAYS, trial
from fluxiq.tests.served import ENGINES, NO_LIMITS, SERVERS, serving

pytestmark = pytest.mark.proof

TRIALS = {"SQLite alone": 15, SERVERS: 72}  # of each of fourteen ways: 210, and 1,008


@pytest.mark.parametrize("engines", ENGINES)
def test_nothing_killed_is_accepted_afterwards(engines: str) -> None:
    before, after, trials = Counter[int](), Counter[int](), 0
    with serving(engines, NO_LIMITS) as service, Backstage(service.environment) as backstage:
        root = backstage.do("superuser")["access_token"]
        url = service.environment["REDIS_URL"]
        server = redis.Redis.from_url(url) if url else None
        for number in range(TRIALS[engines]):
            for way in WAYS.values():
                seen, seen_after = trial(
                    service, backstage, root, way, server, flush=bool(number % 2)
                )
                before, after, trials = before + seen, after + seen_after, trials + 1
                if trials % 400 == 0:  # sooner than access tokens run out
                    root = backstage.do("superuser")["access_token"]
    print(f"\n{engines}: {trials} killed, answers before {dict(before)}, after {dict(after)}")
    assert before[200] > trials
    assert after[200] == 0
    assert set(after) <= {401, 403}
