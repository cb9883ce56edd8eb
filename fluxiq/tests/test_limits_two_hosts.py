"""Limits over two hosts that share one Valkey: exact, whoever asks where, and whatever they say."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Network
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fluxiq.tests.backstage import Backstage
from fluxiq.tests.engines import Gunicorn
from fluxiq.tests.load import Client, Seen, ask_all, bearer, by_window, statuses
from fluxiq.tests.served import SERVERS, Service, serving

pytestmark = [pytest.mark.engine, pytest.mark.proof]

VERIFY = "/api/v1/auth/verify"
THREADS = 8
KEY_LIMIT, USER_LIMIT, ADDRESS_LIMIT = 1000, 100, 10
PROXY = "127.0.0.2"  # the one peer that is believed
# Nobody counted from these before: the tests' own requests come from 127.0.0.1.
STRANGER, OTHER_STRANGER = "127.0.0.3", "127.0.0.4"


@dataclass(frozen=True)
class Hosts:
    """Two masters with two workers each, and counters of their own for when Valkey is away."""

    service: Service
    backstage: Backstage
    ports: tuple[int, int]


@contextmanager
def two_hosts() -> Iterator[Hosts]:
    """The hosts, with the documented limits, but of an hour: none ends during a test."""
    environment = {
        "RATE_LIMIT_API_KEY": f"{KEY_LIMIT}/h",
        "RATE_LIMIT_SERVICE_KEY": "10000/h",
        "RATE_LIMIT_JWT": f"{USER_LIMIT}/h",
        "RATE_LIMIT_ANONYMOUS": f"{ADDRESS_LIMIT}/h",
        "TRUSTED_PROXIES": f"{PROXY}/32",
    }
    with (
        serving(SERVERS, environment, workers=2) as service,
        TemporaryDirectory(prefix="fluxiq-other-host-") as elsewhere,
    ):
        other_counters = {"COUNTERS_PATH": str(Path(elsewhere) / "counters" / "counters.sqlite3")}
        with (
            Gunicorn({**service.environment, **other_counters}, workers=2) as other,
            Backstage(service.environment) as backstage,
        ):
            yield Hosts(service, backstage, (service.gunicorn.port, other.port))


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    """The hosts of all tests."""
    with two_hosts() as running:
        yield running


def assert_exact(seen: list[Seen], limit: int, asked: int, admitted: int = 200) -> None:
    """So many of so many were admitted, and the others answered 429.

    In the rare case that the hour ended meanwhile, of each hour.
    """
    assert statuses(seen).keys() == {admitted, 429}
    assert len(seen) == asked
    for answers in by_window(seen).values():
        assert answers[admitted] == min(limit, answers.total()), answers


def exhaust_a_key(hosts: Hosts) -> None:
    """3,000 requests with one key, over both hosts: 1,000 are admitted."""
    secret = hosts.backstage.do("api_key")["secret"]
    client = Client("key", hosts.ports, VERIFY, bearer(secret), threads=THREADS, times=3000)
    assert_exact(ask_all(client), KEY_LIMIT, 3000)


def test_a_key_is_admitted_1000_of_3000_over_both_hosts(hosts: Hosts) -> None:
    exhaust_a_key(hosts)


def test_a_user_is_admitted_100_of_300_over_several_tokens(hosts: Hosts) -> None:
    tokens = [hosts.service.sign_in()["access_token"] for _ in range(3)]
    each = [bearer(token) for token in tokens for _ in hosts.ports]
    client = Client("user", hosts.ports, VERIFY, each=each, threads=THREADS, times=300)
    assert_exact(ask_all(client), USER_LIMIT, 300)


def test_an_address_is_answered_10_of_50(hosts: Hosts) -> None:
    client = Client("it", hosts.ports, VERIFY, threads=THREADS, source=STRANGER, times=50)
    assert_exact(ask_all(client), ADDRESS_LIMIT, 50, admitted=401)


def forwarded(address: object) -> dict[str, str]:
    """The header that names a client."""
    return {"X-Forwarded-For": f"{address}"}


def test_who_is_not_trusted_gains_nothing_by_1000_addresses(hosts: Hosts) -> None:
    each = [forwarded(f"203.0.{n // 250}.{n % 250}") for n in range(1000)]
    client = Client(
        "liar", hosts.ports, VERIFY, each=each, threads=THREADS, source=OTHER_STRANGER, times=1000
    )
    assert_exact(ask_all(client), ADDRESS_LIMIT, 1000, admitted=401)


def test_1000_addresses_of_one_64_share_one_limit(hosts: Hosts) -> None:
    network = IPv6Network("2001:db8:1:2::/64")
    each = [forwarded(network[n * 2**48 + n]) for n in range(1000)]
    client = Client(
        "subscriber", hosts.ports, VERIFY, each=each, threads=THREADS, source=PROXY, times=1000
    )
    assert_exact(ask_all(client), ADDRESS_LIMIT, 1000, admitted=401)


def crowd(hosts: Hosts, addresses: int) -> None:
    """So many addresses ask once each. One that had used up its limit before has none after."""
    many = Client(
        "crowd",
        hosts.ports,
        VERIFY,
        each=[forwarded(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(addresses)],
        threads=THREADS,
        source=PROXY,
        times=addresses,
    )
    victim = Client(
        "victim",
        hosts.ports,
        VERIFY,
        forwarded("198.51.100.1"),
        source=PROXY,
        times=ADDRESS_LIMIT + 1,
    )
    before, crowded, after = ask_all(victim), ask_all(many), ask_all(victim)
    assert_exact(before + after, ADDRESS_LIMIT, 2 * victim.times, admitted=401)
    assert statuses(crowded) == {401: addresses}
    if before[0].reset == after[-1].reset:  # or its hour ended by itself
        assert statuses(after) == {429: victim.times}


def test_a_crowd_resets_nobodys_count(hosts: Hosts) -> None:
    crowd(hosts, 1000)
