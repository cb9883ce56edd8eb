"""Limits over two hosts that share one Valkey: exact, whoever asks where, and whatever they say."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fluxiq.tests.backstage import Backstage
from fluxiq.tests.gunicorn_server import Gunicorn
from fluxiq.tests.load import Client, Seen, ask_all, bearer, by_window, statuses
from fluxiq.tests.scraped import get, samples, value
from fluxiq.tests.served import Service
from fluxiq.tests.waiting import wait_until

VERIFY = "/api/v1/auth/verify"
THREADS = 8
TRIES = 5
KEY_LIMIT, USER_LIMIT, ADDRESS_LIMIT = 1000, 100, 10
PROXY = "127.0.0.2"  # the one peer that is believed
TOKEN = "metrics-token-of-two-hosts"
# The documented limits, but of an hour, so that few trials are under way as a window ends.
ENVIRONMENT = {
    "RATE_LIMIT_API_KEY": f"{KEY_LIMIT}/h",
    "RATE_LIMIT_SERVICE_KEY": "10000/h",
    "RATE_LIMIT_JWT": f"{USER_LIMIT}/h",
    "RATE_LIMIT_ANONYMOUS": f"{ADDRESS_LIMIT}/h",
    "TRUSTED_PROXIES": f"{PROXY}/32",
    "METRICS_TOKEN": TOKEN,
}

_strangers = itertools.count(1)


@dataclass(frozen=True)
class Hosts:
    """Two masters with workers of their own, and counters of their own for when Valkey is away."""

    service: Service
    backstage: Backstage
    servers: tuple[Gunicorn, Gunicorn]

    @property
    def ports(self) -> tuple[int, int]:
        """Where they listen."""
        return self.servers[0].port, self.servers[1].port

    def are_degraded(self) -> list[bool]:
        """Whether some worker of each counts on its host alone, as the metrics have it."""
        scrapes = [samples(get(port, TOKEN)[1]) for port in self.ports]
        return [value(scrape, "fluxiq_degraded", part="counters") > 0 for scrape in scrapes]

    def wait_until_shared(self) -> None:
        """Return once every worker counts on the server; who left it alone tries it when asked."""

        def are_shared() -> bool:
            for port in self.ports * 4:
                get(port, path="/readyz")
            return not any(self.are_degraded())

        wait_until(are_shared, "counting on the server")

    def outages(self) -> int:
        """How often a worker began to count on its host alone."""
        return sum(server.log().count("counting on this host") for server in self.servers)


@contextmanager
def two_hosts(service: Service, workers: int) -> Iterator[Hosts]:
    """Another host beside that of the service."""
    with TemporaryDirectory(prefix="fluxiq-other-host-") as elsewhere:
        other_counters = {"COUNTERS_PATH": str(Path(elsewhere) / "counters" / "counters.sqlite3")}
        with (
            Gunicorn({**service.environment, **other_counters}, workers=workers) as other,
            Backstage(service.environment) as backstage,
        ):
            yield Hosts(service, backstage, (service.gunicorn, other))


def undisturbed(
    hosts: Hosts, ask: Callable[[], list[Seen]], limited: str
) -> tuple[list[Seen], int]:
    """What a trial saw while all counted on the server, in one window of the limited client's; and
    how often it was made in vain before.

    On a busy machine the server's answer may be late, and whoever waits counts on their own host,
    as they are to. Each trial asks as somebody whom nobody counted before.
    """
    for in_vain in range(TRIES):
        hosts.wait_until_shared()
        before = hosts.outages()
        seen = ask()
        windows = by_window(answer for answer in seen if answer.client == limited)
        if hosts.outages() == before and len(windows) == 1:
            return seen, in_vain
    pytest.fail(f"{TRIES} trials were disturbed")


def assert_exact(hosts: Hosts, client: Callable[[], Client], limit: int, admitted: int) -> int:
    """Of what such a client asks, so much is admitted, and all else answered 429; how often the
    trial was made in vain."""
    seen, in_vain = undisturbed(hosts, lambda: ask_all(client()), client().name)
    assert statuses(seen) == {admitted: limit, 429: len(seen) - limit}
    return in_vain


def exhaust_a_key(hosts: Hosts) -> int:
    """3,000 requests with one key, over both hosts: 1,000 are admitted."""

    def client() -> Client:
        secret = hosts.backstage.do("api_key")["secret"]
        return Client("key", hosts.ports, VERIFY, bearer(secret), threads=THREADS, times=3000)

    return assert_exact(hosts, client, KEY_LIMIT, 200)


def exhaust_a_user(hosts: Hosts) -> int:
    """300 requests with three tokens of a user, over both hosts: 100 are admitted."""

    def client() -> Client:
        user = hosts.backstage.do("member")["user"]
        tokens = [hosts.backstage.do("sign_in", user=user)["access_token"] for _ in range(3)]
        each = [bearer(token) for token in tokens for _ in hosts.ports]
        return Client("user", hosts.ports, VERIFY, each=each, threads=THREADS, times=300)

    return assert_exact(hosts, client, USER_LIMIT, 200)


def stranger() -> str:
    """An address of this machine's that nobody called from before."""
    number = next(_strangers)
    return f"127.1.{number >> 8}.{number & 255}"


def exhaust_an_address(hosts: Hosts) -> int:
    """50 requests of an address: 10 are answered."""

    def client() -> Client:
        return Client("it", hosts.ports, VERIFY, threads=THREADS, source=stranger(), times=50)

    return assert_exact(hosts, client, ADDRESS_LIMIT, 401)


def forwarded(address: object) -> dict[str, str]:
    """The header that names a client."""
    return {"X-Forwarded-For": f"{address}"}


def lie_about_1000_addresses(hosts: Hosts) -> int:
    """One who is not trusted names 1,000 addresses: they have the limit of one."""
    each = [forwarded(f"203.0.{n // 250}.{n % 250}") for n in range(1000)]

    def client() -> Client:
        source = stranger()
        return Client("liar", hosts.ports, VERIFY, {}, each, THREADS, source=source, times=1000)

    return assert_exact(hosts, client, ADDRESS_LIMIT, 401)


def use_1000_addresses_of_a_64(hosts: Hosts) -> int:
    """A subscriber with 1,000 addresses of one /64 has the limit of one."""

    def client() -> Client:
        first = int(IPv6Address("2001:db8::")) + (next(_strangers) << 64)
        network = IPv6Network((first, 64))
        each = [forwarded(network[n * 2**48 + n]) for n in range(1000)]
        return Client("it", hosts.ports, VERIFY, {}, each, THREADS, source=PROXY, times=1000)

    return assert_exact(hosts, client, ADDRESS_LIMIT, 401)


def crowd(hosts: Hosts, addresses: int) -> None:
    """So many addresses ask once each. One that had used up its limit before has none after."""
    each = [forwarded(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(addresses)]
    many = Client("crowd", hosts.ports, VERIFY, {}, each, THREADS, source=PROXY, times=addresses)

    def ask() -> list[Seen]:
        number = next(_strangers)
        header = forwarded(f"198.51.{number >> 8}.{number & 255}")
        times = ADDRESS_LIMIT + 1
        victim = Client("victim", hosts.ports, VERIFY, header, source=PROXY, times=times)
        return [*ask_all(victim), *ask_all(many), *ask_all(victim)]

    seen, _ = undisturbed(hosts, ask, "victim")
    assert statuses(a for a in seen if a.client == "crowd") == {401: addresses}
    of_victim = [answer.status for answer in seen if answer.client == "victim"]
    assert of_victim == [401] * ADDRESS_LIMIT + [429] * (ADDRESS_LIMIT + 2)
