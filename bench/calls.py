"""`/auth/verify` and `GET /accounts` beside the stock peers. Run from the root:

    .venv/bin/python -m bench.calls

The targets take turns, in reversed order every other round; a ratio is taken round by round.
"""

from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench import load
from bench.options import main
from bench.report import Ratio, Report, Row, say
from bench.servers import Served, engines, peers, service
from fluxiq.tests.postgres_server import database

VERIFY = "/api/v1/auth/verify?permission=accounts:read"
ACCOUNTS = "/api/v1/accounts"
WARM_UP_SECONDS = 2

PLAIN = "plain DRF view, no authentication, no database"
PLAIN_ROWS = "plain DRF view, no authentication, two rows"
SIMPLEJWT, SIMPLEJWT_ROWS = "simplejwt + throttle", "simplejwt + throttle, two rows"
API_KEY = "djangorestframework-api-key + throttle"
FASTAPI_ROWS = "FastAPI + PyJWT + psycopg + slowapi, two rows"

VERIFY_KEY, VERIFY_TOKEN = "/auth/verify, API key", "/auth/verify, access token"
ACCOUNTS_KEY, ACCOUNTS_TOKEN = "/accounts, API key", "/accounts, access token"


@dataclass(frozen=True, slots=True)
class Target:
    """Something to load: where, with whose credentials, and what a right answer is."""

    urls: tuple[str, ...]
    credentials: tuple[str, ...]  # none: nothing is asked for
    is_right: load.Check

    def check(self) -> None:
        """See that it lets in whom it should, and no other. Raises Failed."""
        first = self.credentials[0] if self.credentials else None
        for url in self.urls:
            load.must_answer(url, first, self.is_right)
            if first is not None:
                load.must_refuse(url, None)
                load.must_refuse(url, spoiled(first))

    def load(self, seconds: int) -> load.Load:
        """What it does in so many seconds."""
        return load.drive(self.urls, self.credentials or ("",), seconds=seconds)


def spoiled(credential: str) -> str:
    """The credential with its last but one characters changed."""
    tail = "".join("A" if c != "A" else "B" for c in credential[-9:-3])
    return credential[:-9] + tail + credential[-3:]


def bearer(credentials: list[str]) -> tuple[str, ...]:
    """These as Authorization headers."""
    return tuple(f"Bearer {credential}" for credential in credentials)


def has_two_rows(body: Any) -> bool:
    """Whether a peer's answer is two accounts."""
    return [row["name"] for row in body] in (["Checking", "Reserve"], ["Reserve", "Checking"])


def has_two_accounts(body: Any) -> bool:
    """Whether the service's answer is two accounts."""
    return has_two_rows(body["data"])


def may_pass(body: Any) -> bool:
    """Whether the service says that the call may pass."""
    return bool(body == {"data": {}})


def of_peers(django: Served, fastapi: Served) -> dict[str, Target]:
    """The peers' targets, by name."""
    tokens = bearer(django.cast["tokens"])
    keys = tuple(f"Api-Key {key}" for key in django.cast["keys"])
    targets = {
        PLAIN: Target(django.at("/plain/static"), (), has_two_rows),
        SIMPLEJWT: Target(django.at("/simplejwt/static"), tokens, has_two_rows),
        API_KEY: Target(django.at("/api-key/static"), keys, has_two_rows),
        PLAIN_ROWS: Target(django.at("/plain/rows"), (), has_two_rows),
        SIMPLEJWT_ROWS: Target(django.at("/simplejwt/rows"), tokens, has_two_rows),
    }
    if fastapi.urls:
        targets[FASTAPI_ROWS] = Target(fastapi.at("/rows"), tokens, has_two_rows)
    return targets


def of_service(served: Served) -> dict[str, Target]:
    """The service's targets, by name."""
    keys, tokens = bearer(served.cast["keys"]), bearer(served.cast["tokens"])
    return {
        VERIFY_KEY: Target(served.at(VERIFY), keys, may_pass),
        VERIFY_TOKEN: Target(served.at(VERIFY), tokens, may_pass),
        ACCOUNTS_KEY: Target(served.at(ACCOUNTS), keys, has_two_accounts),
        ACCOUNTS_TOKEN: Target(served.at(ACCOUNTS), tokens, has_two_accounts),
    }


def in_turns(
    targets: Mapping[str, Callable[[int], float]], rounds: int, seconds: int
) -> dict[str, list[float]]:
    """How often a second each target did its work, round by round."""
    rates: dict[str, list[float]] = {name: [] for name in targets}
    for n in range(rounds):
        names = list(targets)
        for name in names if n % 2 == 0 else reversed(names):
            rate = targets[name](seconds)
            rates[name].append(rate)
            say(f"  round {n + 1}  {rate:9.1f}/s  {name}")
    return rates


def measured(target: Target) -> Callable[[int], float]:
    """The target as `in_turns` takes it: its answers are looked at before and after each timing."""

    def rate(seconds: int) -> float:
        target.check()
        seen = target.load(seconds)
        target.check()
        return seen.rate

    return rate


def compared(targets: Mapping[str, Target], options: Namespace) -> dict[str, list[float]]:
    """The rates of these targets, warmed up, in turns."""
    for target in targets.values():
        target.check()
        target.load(WARM_UP_SECONDS)
    turns = {name: measured(target) for name, target in targets.items()}
    return in_turns(turns, options.rounds, options.seconds)


# What is compared with what: at least, and the aim.
Goals = Mapping[str, tuple[float | None, float | None]]
VERIFY_GOALS: Goals = {PLAIN: (0.9, 1.1), SIMPLEJWT: (3.3, 4.5), API_KEY: (3.3, 4.5)}
ACCOUNTS_GOALS: Goals = {
    PLAIN_ROWS: (1.0, 1.5),
    FASTAPI_ROWS: (0.7, 1.0),
    SIMPLEJWT_ROWS: (None, None),
}


def verify(options: Namespace) -> Report:
    """`/auth/verify`, with either credential."""
    return _measure(options, {VERIFY_KEY: VERIFY_GOALS, VERIFY_TOKEN: VERIFY_GOALS})


def accounts(options: Namespace) -> Report:
    """`GET /accounts`, with either credential."""
    return _measure(options, {ACCOUNTS_KEY: ACCOUNTS_GOALS, ACCOUNTS_TOKEN: ACCOUNTS_GOALS})


def _measure(options: Namespace, goals: Mapping[str, Goals]) -> Report:
    names = {*goals, *(reference for each in goals.values() for reference in each)}
    with (
        engines() as at,
        database(at.postgres) as url,
        peers(at, fastapi=FASTAPI_ROWS in names) as (django, fastapi),
        service(url, at.valkey.url) as served,
    ):
        everything = of_peers(django, fastapi) | of_service(served)
        rates = compared({n: t for n, t in everything.items() if n in names}, options)
    rows = [
        Row(name, reference, Ratio.of(rates[name], rates[reference]), at_least, aim)
        for name, each in goals.items()
        for reference, (at_least, aim) in each.items()
    ]
    return Report(rows, {"answers a second": rates})


if __name__ == "__main__":
    main("verify", verify)
    main("accounts", accounts)
