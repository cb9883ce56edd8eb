"""The faults and limits of the suite, longer and more often; the figures stand in docs/proof.md."""

import time
from collections.abc import Iterator

import pytest

from fluxiq.tests import postgres_outages as on_postgres
from fluxiq.tests import valkey_outages as on_valkey
from fluxiq.tests.faults import FAILURES, Fallible
from fluxiq.tests.load import slowest, statuses
from fluxiq.tests.served import SERVERS, Service, serving
from fluxiq.tests.two_hosts import ENVIRONMENT, Hosts, crowd, exhaust_a_key, two_hosts

pytestmark = pytest.mark.proof

TIMES = 3  # of each way to fail
RUNS = 10
CROWD = 100_000


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    """Two masters that share a Valkey."""
    with serving(SERVERS, ENVIRONMENT, workers=2) as service, two_hosts(service, 2) as running:
        yield running


@pytest.fixture(scope="module")
def valkey() -> Iterator[tuple[Service, Fallible]]:
    """Four workers on a Valkey that may fail."""
    with on_valkey.service_on_valkey() as running:
        yield running


@pytest.fixture(scope="module")
def postgres() -> Iterator[tuple[Service, Fallible]]:
    """Four workers on a PostgreSQL that may fail."""
    with on_postgres.service_on_postgres() as running:
        yield running


@pytest.mark.parametrize("failure", FAILURES)
def test_no_client_notices_that_valkey_fails(
    valkey: tuple[Service, Fallible], failure: str
) -> None:
    for _ in range(TIMES):
        seen = on_valkey.outage(*valkey, failure, 4, 8)  # revoked ten seconds before the end
        print(
            f"\nValkey {failure}: {dict(statuses(seen.seen))},"
            f" slowest {slowest(seen.seen) * 1000:.0f} ms"
        )
        on_valkey.check(seen)


@pytest.mark.parametrize("failure", FAILURES)
def test_ten_seconds_without_postgresql(postgres: tuple[Service, Fallible], failure: str) -> None:
    seen = on_postgres.outage(*postgres, failure, 10)
    print(
        f"\nPostgreSQL {failure}: {dict(statuses(seen.during))}, slowest"
        f" {slowest(seen.during):.2f} s, back after {seen.back_after:.2f} s,"
        f" at most {seen.connections} connections"
    )
    on_postgres.check(seen)


def test_a_key_is_admitted_1000_of_3000_each_time(hosts: Hosts) -> None:
    in_vain = sum(exhaust_a_key(hosts) for _ in range(RUNS))
    print(
        f"\n1,000 of 3,000 over two hosts: {RUNS} of {RUNS} runs; {in_vain} others in which Valkey"
        " was late"
    )


def test_a_hundred_thousand_addresses_reset_nobodys_count(hosts: Hosts) -> None:
    began = time.monotonic()
    crowd(hosts, CROWD)
    print(f"\n{CROWD:,} addresses in {time.monotonic() - began:.0f} s")
