"""Does the time of an answer tell whether a document is known? Run from the root:

    .venv/bin/python -m bench.signin_timing

Sends 300 failing sign-ins of each kind in turn to a service of its own on this machine, then as
many requests of a new password, and prints the median of each kind and its ratio to that of the
first. They should lie within a tenth of each other.
"""

import itertools
import secrets
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus

from fluxiq.tests.backstage import Backstage
from fluxiq.tests.served import EMBEDDED, Service, serving

TRIES = 300
PEOPLE = 100
ENVIRONMENT = {"TRUSTED_PROXIES": "127.0.0.0/8", "RATE_LIMIT_ANONYMOUS": "1000000/m"}


def spent(service: Service, path: str, body: dict[str, str], address: str, status: int) -> float:
    """The milliseconds of a request that is answered so, from an address of its own."""
    started = time.perf_counter()
    headers = {"X-Forwarded-For": address}
    answer = service.call("POST", f"/api/v1/auth/{path}", None, body, headers)
    took = (time.perf_counter() - started) * 1000
    if answer.status != status:
        raise SystemExit(f"expected {status}, got {answer.status}: {answer.content!r}")
    return took


def measure(
    ask: Callable[[str, str], float], kinds: Mapping[str, Iterator[str]], addresses: Iterator[str]
) -> None:
    """Ask with documents of each kind in turn, and print."""
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(TRIES):
        for kind, documents in kinds.items():
            times[kind].append(ask(next(documents), next(addresses)))
    medians = {kind: statistics.median(seen) for kind, seen in times.items()}
    reference = next(iter(medians.values()))
    for kind, median in medians.items():
        print(f"{kind:18} median {median:6.2f} ms, ratio {median / reference:.3f}")  # noqa: T201 - a result


def main() -> None:
    """Measure and print."""
    with serving(EMBEDDED, ENVIRONMENT, workers=1) as service:
        with Backstage(service.environment) as backstage:
            known = itertools.cycle(backstage.do("people", count=PEOPLE, active=True))
            inactive = itertools.cycle(backstage.do("people", count=PEOPLE, active=False))
            mailed = backstage.do("people", count=TRIES, active=True, email="x@example.com")
        unknown = (f"{30_000_000_000 + n}" for n in itertools.count(secrets.randbelow(10**6)))
        addresses = (f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in itertools.count(1))

        def sign_in(document: str, address: str) -> float:
            body = {"document": document, "password": "a wrong password"}
            return spent(service, "login", body, address, HTTPStatus.UNAUTHORIZED)

        def forget(document: str, address: str) -> float:
            body = {"document": document}
            return spent(service, "password/forgot", body, address, HTTPStatus.ACCEPTED)

        kinds = {"wrong password": known, "unknown document": unknown, "inactive user": inactive}
        measure(sign_in, kinds, addresses)
        kinds = {"mailed a link": iter(mailed), "unknown document": unknown, "no address": known}
        measure(forget, kinds, addresses)


if __name__ == "__main__":
    main()
