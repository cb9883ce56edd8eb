"""Sign-ins a second, to the bare argon2id hash on the same cores. Run from the root:

.venv/bin/python -m bench.signin
"""

import json
import os
import time
from argparse import Namespace
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context

from argon2.low_level import Type, hash_secret_raw

from bench import load
from bench.calls import in_turns
from bench.options import main
from bench.report import Ratio, Report, Row
from bench.servers import WORKERS, Served, engines, service
from fluxiq.tests.engines import database

LOGIN = "/api/v1/auth/login"
# accounts.hashers.Argon2id
MEMORY_KIB, TIME_COST, LANES = 46 * 1024, 1, 1
SALT_BYTES, HASH_BYTES = 16, 32

BARE = f"bare argon2id, {WORKERS} processes"
SIGN_IN = "POST /auth/login"


def hashes(seconds: int) -> float:
    """How many hashes a second this process computes, for so many seconds."""
    salt, count, began = os.urandom(SALT_BYTES), 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        hash_secret_raw(
            b"a password of many", salt, TIME_COST, MEMORY_KIB, LANES, HASH_BYTES, Type.ID
        )
        count += 1
    return count / (time.perf_counter() - began)


def bare(pool: Executor) -> Callable[[int], float]:
    """As many processes as the service has workers, hashing."""
    return lambda seconds: sum(pool.map(hashes, [seconds] * WORKERS))


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
        service(url, at.valkey.url) as served,
        ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool,
    ):
        targets = {BARE: bare(pool), SIGN_IN: sign_ins(served)}
        in_turns(targets, 1, 1)  # a warm-up
        rates = in_turns(targets, options.rounds, options.seconds)
    row = Row(SIGN_IN, BARE, Ratio.of(rates[SIGN_IN], rates[BARE]), 0.85, 0.95)
    return Report([row], {"sign-ins a second": rates})


if __name__ == "__main__":
    main("signin", measure)
