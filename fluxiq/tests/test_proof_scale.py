"""A million API keys: verifying one and listing a merchant's cost what they do with a thousand."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from fluxiq.tests.backstage import Backstage
from fluxiq.tests.served import NO_LIMITS, SERVERS, Service, serving

pytestmark = pytest.mark.proof

FEW, MANY = 1_000, 1_000_000
ROUNDS, REQUESTS = 9, 300

_PLANT = """
INSERT INTO authn_apikey (id, merchant_id, name, digest, pepper_id, hint, permissions, allowed_ips,
    created_at, last_used_address, revoked_reason)
SELECT 'key_0' || upper(left(md5(n::text), 25)), (SELECT id FROM merchants_merchant LIMIT 1),
    'One of many', sha256(n::text::bytea), 'served-1', 'sk_live_…xxxx', '["pix:read"]', '[]', now(),
    '', ''
FROM generate_series(%(first)s::int, %(last)s::int) AS n
"""
_LIST = (
    "EXPLAIN SELECT * FROM authn_apikey WHERE merchant_id = %s"
    " ORDER BY merchant_id, id DESC LIMIT 26"
)


def _settle(connection: psycopg.Connection[Any]) -> None:
    """Have the planting behind us: what it left to write and to tidy is done now."""
    connection.execute("VACUUM ANALYZE authn_apikey")
    connection.execute("CHECKPOINT")


def median(service: Service, key: str) -> float:
    """The median milliseconds of a request that looks the key up in the database."""
    times = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        assert service.call("GET", "/api/v1/auth/verify", key).status == 200
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


@contextmanager
def holding(keys: int) -> Iterator[tuple[Service, str, str]]:
    """A service with so many keys: itself, a key's secret, and how it lists a merchant's keys."""
    with serving(SERVERS, NO_LIMITS, workers=1) as service:
        with Backstage(service.environment) as backstage:
            # One bound to addresses is asked about each time.
            issued = backstage.do("api_key", allowed_ips=["127.0.0.0/8"])
        with psycopg.connect(service.environment["DATABASE_URL"], autocommit=True) as connection:
            connection.execute(_PLANT, {"first": 1, "last": keys})
            _settle(connection)
            plan = connection.execute(_LIST, [issued["merchant"]]).fetchall()
        yield service, issued["secret"], str(plan)


def test_a_million_keys_cost_what_a_thousand_do() -> None:
    with holding(FEW) as (small, of_few, _), holding(MANY) as (large, of_many, plan):
        median(small, of_few), median(large, of_many)  # both warm
        rounds = [(median(small, of_few), median(large, of_many)) for _ in range(ROUNDS)]
    few, many = map(statistics.median, zip(*rounds, strict=True))
    ratios = sorted(large / small for small, large in rounds)
    print(
        f"\nverify: {few:.2f} ms with {FEW:,} keys, {many:.2f} ms with {MANY:,}, ratio"
        f" {statistics.median(ratios):.3f} ({ratios[0]:.2f} to {ratios[-1]:.2f}); list: {plan}"
    )
    assert "Index" in plan
    assert "Seq Scan" not in plan
