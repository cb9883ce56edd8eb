"""Sign-ins a second, to the bare argon2id hash on the same cores. Run from the root:

    .venv/bin/python -m bench.signin

The hash as it comes, and in huge pages, in which the service is delivered: a password's hash fills
46 MiB, and half of its time goes into getting them in small ones.
"""

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping

from bench import load
from bench.calls import in_turns
from bench.load import CONNECTIONS
from bench.options import main
from bench.report import Ratio, Report, Row
from bench.servers import HUGE_PAGES, WORKERS, Served, engines, service
from fluxiq.tests.postgres_server import database

LOGIN = "/api/v1/auth/login"

BARE = f"bare argon2id, {WORKERS} processes"
BARE_HUGE = f"bare argon2id in huge pages, {WORKERS} processes"
SIGN_IN = "POST /auth/login"

# Half of a worker's threads may hash: as many as it has connections, or some would be answered 503.
THREADS = 2 * CONNECTIONS // WORKERS


def bare(environment: Mapping[str, str]) -> Callable[[int], float]:
    """As many processes as the service has workers, hashing."""

    def rate(seconds: int) -> float:
        hashing = [
            subprocess.Popen(
                [sys.executable, "-m", "bench.hashing", str(seconds)],
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(WORKERS)
        ]
        return sum(float(process.communicate()[0]) for process in hashing)

    return rate


def sign_ins(served: Served) -> Callable[[int], float]:
    """Sign-ins with the right password, of one person after the other."""
    bodies = [
        json.dumps({"document": document, "password": served.cast["password"]})
        for document in served.cast["documents"]
    ]
    return lambda seconds: load.drive(served.at(LOGIN), bodies, kind="body", seconds=seconds).rate


def measure(options: Namespace) -> Report:
    """Hashes and sign-ins, in turns."""
    with (
        engines() as at,
        database(at.postgres) as url,
        service(url, at.valkey.url, threads=THREADS) as served,
    ):
        targets = {BARE: bare({}), BARE_HUGE: bare(HUGE_PAGES), SIGN_IN: sign_ins(served)}
        in_turns(targets, 1, 1)  # a warm-up
        rates = in_turns(targets, options.rounds, options.seconds)
    rows = [
        Row(SIGN_IN, BARE, Ratio.of(rates[SIGN_IN], rates[BARE]), 0.85, 0.95),
        Row(SIGN_IN, BARE_HUGE, Ratio.of(rates[SIGN_IN], rates[BARE_HUGE])),
    ]
    return Report(rows, {"sign-ins a second": rates})


if __name__ == "__main__":
    main("signin", measure)
