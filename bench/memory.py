"""What the workers hold after requests from very many addresses. Linux; run from the root:

    .venv/bin/python -m bench.memory

Callers come with keys, with tokens and with nothing, each from an address of its own behind a
trusted proxy. The resident size of each worker is read before, and after each 100,000 requests.
"""

import re
from argparse import Namespace
from pathlib import Path

from bench import load
from bench.calls import VERIFY, bearer
from bench.options import main
from bench.report import Failed, Ratio, Report, Row, say
from bench.servers import Served, engines, service
from fluxiq.tests.postgres_server import database

ADDRESSES = 100_000
TIMES = 3
LEG_SECONDS = 8
MAX_MIB = 110
MAX_GROWTH = 1.02  # of the last 100,000 requests


def workers(served: Served) -> list[int]:
    """The pids of the workers."""
    children = Path(f"/proc/{served.pid}/task/{served.pid}/children")
    if not children.exists():
        raise Failed("the memory of the workers is read from Linux's /proc")
    return [int(pid) for pid in children.read_text().split()]


def resident(pid: int) -> float:
    """The resident size of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise Failed(f"/proc/{pid}/status tells no resident size")
    return int(found[1]) / 1024


def call_from(served: Served, first: int) -> int:
    """Requests from as many addresses, beginning with that one; how many came."""
    keys, tokens = bearer(served.cast["keys"]), bearer(served.cast["tokens"])
    values = [v for pair in zip(keys, tokens, strict=True) for v in (*pair, "")]
    done = 0
    while done < ADDRESSES:
        options = {"BENCH_FIRST": str(first + done)}
        seen = load.drive(served.at(VERIFY), values, seconds=LEG_SECONDS, options=options)
        if not seen.ok or not seen.refused:
            raise Failed(f"expected some admitted and some not: {seen}")
        done += seen.requests
    return done


def measure(options: Namespace) -> Report:
    """The workers' sizes as they go."""
    with (
        engines() as at,
        database(at.postgres) as url,
        service(url, at.valkey.url, environment={"TRUSTED_PROXIES": "127.0.0.0/8"}) as served,
    ):
        pids = workers(served)
        sizes = [[resident(pid) for pid in pids]]
        total = 0
        for _ in range(TIMES):
            total += call_from(served, total)
            if workers(served) != pids:
                raise Failed("a worker was replaced")
            sizes.append([resident(pid) for pid in pids])
            say(f"  {total:,} requests: " + ", ".join(f"{size:.1f} MiB" for size in sizes[-1]))
    after = sizes[1]
    rows = [
        Row(
            f"memory of a worker after {ADDRESSES:,} requests from as many addresses",
            f"{MAX_MIB} MiB",
            Ratio.of(after, [MAX_MIB] * len(after)),
            at_most=1.0,
        ),
        Row(
            f"memory of a worker after {ADDRESSES:,} more",
            "after those before",
            Ratio.of(sizes[-1], sizes[-2]),
            at_most=MAX_GROWTH,
        ),
    ]
    return Report(rows, {"MiB of each worker": sizes, "requests": total})


if __name__ == "__main__":
    main("memory", measure)
