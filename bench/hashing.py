"""Bare argon2id at the service's parameters: `python -m bench.hashing SECONDS` prints how many
hashes a second one process computes. The C library reads GLIBC_TUNABLES as a process starts."""

import os
import sys
import time

from argon2.low_level import Type, hash_secret_raw

# accounts.hashers.Argon2id
MEMORY_KIB, TIME_COST, LANES = 46 * 1024, 1, 1
SALT_BYTES, HASH_BYTES = 16, 32


def hashes(seconds: float) -> float:
    """How many a second, for so many seconds."""
    salt, count, began = os.urandom(SALT_BYTES), 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        hash_secret_raw(
            b"a password of many", salt, TIME_COST, MEMORY_KIB, LANES, HASH_BYTES, Type.ID
        )
        count += 1
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    print(hashes(float(sys.argv[1])))  # noqa: T201 - for who started it
