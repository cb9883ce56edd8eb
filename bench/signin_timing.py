"""Does the time of a failed sign-in tell whether the document is known? Run from the root:

    .venv/bin/python -m bench.signin_timing

Sends 300 sign-ins of each kind in turn to a service of its own on this machine, and prints the
median of each kind and its ratio to that of a wrong password. They should lie
within a tenth of each other.
"""

import itertools
import secrets
import statistics
import time
from http import HTTPStatus

from fluxiq.tests.backstage import Backstage
from fluxiq.tests.served import EMBEDDED, Service, serving

TRIES = 300
PEOPLE = 100
ENVIRONMENT = {"TRUSTED_PROXIES": "127.0.0.0/8", "RATE_LIMIT_ANONYMOUS": "1000000/m"}


def fail(service: Service, document: str, address: str) -> float:
    """The milliseconds of a sign-in that fails, from an address of its own."""
    body = {"document": document, "password": "a wrong password"}
    started = time.perf_counter()
    headers = {"X-Forwarded-For": address}
    answer = service.call("POST", "/api/v1/auth/login", None, body, headers)
    spent = (time.perf_counter() - started) * 1000
    if answer.status != HTTPStatus.UNAUTHORIZED:
        raise SystemExit(f"expected 401, got {answer.status}: {answer.content!r}")
    return spent


def main() -> None:
    """Measure and print."""
    with serving(EMBEDDED, ENVIRONMENT, workers=1) as service:
        with Backstage(service.environment) as backstage:
            known = itertools.cycle(backstage.do("people", count=PEOPLE, active=True))
            inactive = itertools.cycle(backstage.do("people", count=PEOPLE, active=False))
        unknown = (f"{30_000_000_000 + n}" for n in itertools.count(secrets.randbelow(10**6)))
        kinds = {"wrong password": known, "unknown document": unknown, "inactive user": inactive}
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        addresses = (f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in itertools.count(1))
        for _ in range(TRIES):
            for kind, documents in kinds.items():
                times[kind].append(fail(service, next(documents), next(addresses)))
    reference = statistics.median(times["wrong password"])
    for kind, seen in times.items():
        median = statistics.median(seen)
        print(f"{kind:18} median {median:6.1f} ms, ratio {median / reference:.3f}")  # noqa: T201 - a result


if __name__ == "__main__":
    main()
