"""Two regions, each with a Valkey of its own: how long a revocation of one is unknown in the other.

Once on one database, and once where the other reads a standby of it. The bounds are those that
`bench.capacity` calculates; the figures stand in docs/scaling.md.
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest

from bench import capacity
from fluxiq.tests.backstage import Backstage
from fluxiq.tests.engines import Engine, free_port, require
from fluxiq.tests.gunicorn_server import Gunicorn
from fluxiq.tests.postgres_server import start_postgres
from fluxiq.tests.postgres_tools import start_replica
from fluxiq.tests.served import NO_LIMITS, SERVERS, Service, serving
from fluxiq.tests.valkey_server import start_valkey

pytestmark = pytest.mark.proof

KEYS = 40
STAGGERED = 10.0  # seconds over which they are first used there, as callers are who know no other
VERIFY = "/api/v1/auth/verify?permission=accounts:read"
LIMIT = 15
HOURLY = {"RATE_LIMIT_API_KEY": "1000000/h", "RATE_LIMIT_SERVICE_KEY": "10000/h"}
ASKED = 0.5  # seconds that a sweep over all of them may take


@contextmanager
def elsewhere(home: Service, database_url: str) -> Iterator[Service]:
    """Another region: hosts and a Valkey of its own, on that database."""
    valkey = require(lambda: start_valkey(free_port()))
    environment = {
        **home.environment,
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey.url,
        "COUNTERS_PATH": f"{home.environment['COUNTERS_PATH']}.elsewhere",
    }
    try:
        with Gunicorn(environment, workers=2) as gunicorn:
            yield Service(gunicorn, environment, home.demo)
    finally:
        valkey.stop()


@contextmanager
def regions(*, reading_a_standby: bool) -> Iterator[tuple[Service, Service, Engine]]:
    """Home, elsewhere, and the standby (or the one server)."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        primary = require(start_postgres)
        stack.callback(primary.stop)
        # `serving` takes the shared server: this one, which has a standby.
        patch.setenv("FLUXIQ_TEST_POSTGRES_URL", primary.url)
        home = stack.enter_context(serving(SERVERS, {**NO_LIMITS, **HOURLY}, workers=2))
        url = home.environment["DATABASE_URL"]
        server = primary
        if reading_a_standby:
            server = start_replica(primary)
            stack.callback(server.stop)
            url = urlsplit(server.url)._replace(path=urlsplit(url).path).geturl()
        yield home, stack.enter_context(elsewhere(home, url)), server


def known_for(home: Service, other: Service) -> list[float]:
    """For how long each of many keys, revoked at home, was still accepted elsewhere: seconds."""
    with Backstage(home.environment) as backstage:
        keys = [backstage.do("api_key") for _ in range(KEYS)]
        with psycopg.connect(other.environment["DATABASE_URL"]) as connection:
            told = "SELECT count(*) FROM authn_apikey WHERE id = ANY(%s)"
            while connection.execute(told, [[k["key"] for k in keys]]).fetchone() != (KEYS,):
                connection.rollback()
        began = time.monotonic()
        for number, key in enumerate(keys):
            time.sleep(max(0.0, began + STAGGERED * number / KEYS - time.monotonic()))
            assert other.call("GET", VERIFY, key["secret"]).status == 200
            for earlier in keys[:number]:  # who never pause
                assert other.call("GET", VERIFY, earlier["secret"]).status == 200
        revoked: dict[str, float] = {}
        last: dict[str, float] = {}
        for key in keys:
            backstage.do("expire", key=key["key"])
            revoked[key["key"]] = time.monotonic()
            assert home.call("GET", VERIFY, key["secret"]).status == 401
        left = list(keys)
        while left and time.monotonic() - began < 90:
            for key in tuple(left):
                asked = time.monotonic()
                if other.call("GET", VERIFY, key["secret"]).status == 200:
                    last[key["key"]] = asked
                else:
                    left.remove(key)
    assert not left
    return [max(0.0, last.get(k, 0.0) - revoked[k]) for k in revoked]


@pytest.mark.parametrize("reading_a_standby", [False, True])
def test_a_revocation_is_known_elsewhere_within_the_bound(*, reading_a_standby: bool) -> None:
    with regions(reading_a_standby=reading_a_standby) as (home, other, _):
        seen = known_for(home, other)
    where = "replica" if reading_a_standby else "the same database"
    (bound,) = (b for b in capacity.revocations(lag=0.0) if where in b.where)
    print(
        f"\n{'a standby' if reading_a_standby else 'one database'}: {KEYS} revoked at home: 0"
        f" accepted there; elsewhere for {statistics.mean(seen):.1f} s on average,"
        f" {max(seen):.1f} s at most (calculated {bound.usual:g}, {bound.worst:g})"
    )
    assert max(seen) <= bound.worst + ASKED
    assert max(seen) > 0.5 * bound.worst  # or nothing was remembered there, and this told nothing


def test_each_region_has_the_whole_limit_for_itself() -> None:
    with regions(reading_a_standby=False) as (home, other, _):
        with Backstage(home.environment) as backstage:
            key = backstage.do("api_key", rate_limit=LIMIT)
        for region in (home, other):
            statuses = [region.call("GET", VERIFY, key["secret"]).status for _ in range(2 * LIMIT)]
            assert statuses.count(200) == LIMIT


def test_a_region_on_a_standby_verifies_and_cannot_sign_in_until_it_is_promoted() -> None:
    with regions(reading_a_standby=True) as (home, other, standby):
        key = home.demo["key"]
        user = home.demo["users"][0]
        body = {"document": user["document"], "password": user["password"]}
        with psycopg.connect(standby.url, autocommit=True) as connection:
            assert other.call("GET", VERIFY, key).status == 200
            answer = other.call("POST", "/api/v1/auth/login", None, body)
            assert (answer.status, answer.json["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
            began = time.monotonic()
            connection.execute("SELECT pg_promote(wait => true)")
            while other.call("POST", "/api/v1/auth/login", None, body).status != 200:
                assert time.monotonic() - began < 30
                time.sleep(0.02)
        print(f"\npromoted: signs in {time.monotonic() - began:.2f} s after")
