"""Outages of Valkey and PostgreSQL, limits over two hosts, and a lock that a migration waits for.

In short, on one service: `make prove` has the same for longer, and holds how fast it must be
(test_proof_faults.py). Here a machine that is busy with other tests is slow, and what hangs is told
from what answers.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import psycopg
import pytest

from authn import keys
from fluxiq.tests.engines import PROJECT
from fluxiq.tests.faults import (
    FAILURES,
    POOL,
    WORKERS,
    Connections,
    Fallible,
    fallible_postgres,
    fallible_valkey,
    serving_on,
)
from fluxiq.tests.load import Client, Load, ask_all, bearer, slowest, statuses
from fluxiq.tests.next_release import ADDED_COLUMN, columns, next_release
from fluxiq.tests.two_hosts import (
    ENVIRONMENT,
    USER_LIMIT,
    VERIFY,
    Hosts,
    crowd,
    exhaust_a_key,
    exhaust_a_user,
    exhaust_an_address,
    lie_about_1000_addresses,
    stranger,
    two_hosts,
    use_1000_addresses_of_a_64,
)
from fluxiq.tests.waiting import wait_until

pytestmark = pytest.mark.engine

ANSWER_SECONDS = 20.0  # a hang lasts as long as the client has patience, which is more


@dataclass(frozen=True)
class Running:
    """Two hosts with two workers each, on servers that may fail."""

    hosts: Hosts
    postgres: Fallible
    valkey: Fallible


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """The one of all tests."""
    with (
        fallible_postgres() as postgres,
        fallible_valkey() as valkey,
        serving_on(postgres.url, valkey.url, ENVIRONMENT, workers=WORKERS // 2) as service,
        two_hosts(service, WORKERS // 2) as hosts,
    ):
        yield Running(hosts, postgres, valkey)


@pytest.mark.parametrize(
    "trial",
    [
        exhaust_a_key,
        exhaust_a_user,
        exhaust_an_address,
        lie_about_1000_addresses,
        use_1000_addresses_of_a_64,
    ],
)
def test_a_limit_is_exact_over_both_hosts(running: Running, trial: Callable[[Hosts], int]) -> None:
    trial(running.hosts)


def test_a_crowd_resets_nobodys_count(running: Running) -> None:
    crowd(running.hosts, 300)


def asking_user(hosts: Hosts, name: str, port: int, *, keep_alive: bool) -> Client:
    """A new user who asks one host more often than they may."""
    token = hosts.backstage.do("member")["access_token"]
    times = USER_LIMIT + 10
    return Client(name, [port], VERIFY, bearer(token), keep_alive=keep_alive, times=times)


@pytest.mark.parametrize("failure", FAILURES)
def test_no_client_notices_that_valkey_fails(running: Running, failure: str) -> None:
    hosts, valkey = running.hosts, running.valkey
    hosts.wait_until_shared()
    owner = hosts.backstage.do("member", role="owner")
    merchant_keys = f"/api/v1/merchants/{owner['merchant']}/api-keys"
    doomed = hosts.service.call(
        "POST",
        merchant_keys,
        owner["access_token"],
        {"name": "Doomed", "permissions": ["accounts:read"]},
    ).json["data"]
    clients = (
        Client("kept", hosts.ports, VERIFY, bearer(hosts.backstage.do("api_key")["secret"])),
        Client("doomed", hosts.ports, VERIFY, bearer(doomed["key"]), source=stranger()),
        Client("ready", hosts.ports, "/readyz", keep_alive=False),
    )
    assert statuses(ask_all(*(replace(client, times=8) for client in clients))) == {200: 24}
    with Load(*(replace(client, pause=0.05) for client in clients)) as load:
        FAILURES[failure](valkey)
        down = time.monotonic()
        path = f"{merchant_keys}/{doomed['id']}"
        assert hosts.service.call("DELETE", path, owner["access_token"]).status == 204
        revoked = time.monotonic()
        alone = ask_all(
            asking_user(hosts, "on one connection", hosts.ports[0], keep_alive=True),
            asking_user(hosts, "on many", hosts.ports[1], keep_alive=False),
        )
        wait_until(lambda: hosts.are_degraded() == [True, True], "the mode in the metrics")
        coming = time.monotonic()
        valkey.bring_back()
        hosts.wait_until_shared()
        back = time.monotonic()
        exhaust_a_user(hosts)
    for name in ("on one connection", "on many"):  # each host has a limit, and gives all of it
        assert statuses(a for a in alone if a.client == name) == {200: USER_LIMIT, 429: 10}
    assert slowest(load.seen) < ANSWER_SECONDS
    kept, of_doomed, ready = (
        [a for a in load.seen if a.client == client.name] for client in clients
    )
    assert statuses(kept).keys() == {200}
    # One that is frozen may repeat what it remembers, once it is back and for ten seconds in all.
    held = coming if failure == "frozen" else float("inf")
    refused = statuses(a for a in of_doomed if revoked < a.asked and a.asked + a.seconds < held)
    assert refused
    assert refused.keys() <= {401, 429}
    assert statuses(of_doomed).keys() <= {200, 401, 429}
    assert {a.note for a in ready if down < a.asked and a.asked + a.seconds < coming} == {
        "degraded"
    }
    assert "ready" in {a.note for a in ready if a.asked > back}


def test_postgresql_is_away_and_comes_back(running: Running) -> None:
    hosts, postgres = running.hosts, running.postgres
    hosts.wait_until_shared()
    key = bearer(hosts.backstage.do("api_key")["secret"])
    nobodys = [bearer(keys.generate("live")) for _ in range(40)]  # only the database can tell
    accounts = "/api/v1/accounts"
    clients = (
        Client("list", hosts.ports, accounts, key, threads=4, times=40),
        Client("nobody", hosts.ports, VERIFY, each=nobodys, threads=4, times=40),
        Client("ready", hosts.ports, "/readyz", keep_alive=False, times=10),
        Client("live", hosts.ports, "/healthz", keep_alive=False, times=10),
    )
    probe = Client("probe", hosts.ports, accounts, key, times=8)
    all_along = Client("all along", hosts.ports, accounts, key, pause=0.05)
    with Connections(postgres.url, *hosts.servers) as connections, Load(all_along) as load:
        assert statuses(ask_all(probe)) == {200: 8}
        postgres.freeze()
        during = ask_all(*clients)
        unverified = hosts.service.call("GET", VERIFY, keys.generate("live"))
        postgres.bring_back()
        wait_until(lambda: statuses(ask_all(probe)) == {200: 8}, "being back")
    for client in ("list", "nobody", "ready"):
        answers = [a for a in during if a.client == client]
        assert {(a.status, a.note) for a in answers} == {(503, "SERVICE_UNAVAILABLE")}, client
    assert {a.status for a in during if a.client == "live"} == {200}
    assert unverified.status == 503
    told = [unverified.headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining")]
    assert told == ["10", "10"]  # of its address, in which nothing was counted
    assert statuses(load.seen).keys() == {200, 503}
    assert slowest(during + load.seen) < ANSWER_SECONDS
    assert connections.most <= WORKERS * POOL
    for server in hosts.servers:  # a line for each answer, and no more
        assert "answered 503: " in server.log()
        assert "Traceback" not in server.log()


def test_a_migration_lets_a_long_transaction_pass_and_tries_again(
    running: Running, tmp_path_factory: pytest.TempPathFactory
) -> None:
    service = running.hosts.service
    environment = next_release(service, tmp_path_factory.mktemp("next"))
    command = [sys.executable, "manage.py", "migrate", "merchants", "--lock-timeout", "0.2"]
    with psycopg.connect(running.postgres.url) as held:
        held.execute("SELECT 1 FROM merchants_paymentaccount")
        with subprocess.Popen(
            command, cwd=PROJECT, env=environment, stderr=subprocess.PIPE, text=True
        ) as migrating:
            assert migrating.stderr is not None
            told = migrating.stderr.readline()
            assert told == "A lock was not had within 0.2 s: trying again\n"
            assert ADDED_COLUMN not in columns(service)
            assert service.call("GET", "/api/v1/accounts", service.demo["key"]).status == 200
            held.rollback()
            assert migrating.wait(60) == 0
    assert ADDED_COLUMN in columns(service)
