"""`/auth/verify` without any server: SQLite and this machine's counters. Run from the root:

.venv/bin/python -m bench.embedded
"""

import tempfile
from argparse import Namespace

from bench.calls import PLAIN, VERIFY_KEY, VERIFY_TOKEN, compared, of_peers, of_service
from bench.options import main
from bench.report import Ratio, Report, Row
from bench.servers import engines, peers, service

AT_LEAST = 0.6


def measure(options: Namespace) -> Report:
    """Both credentials, beside the plain view."""
    with (
        engines() as at,
        tempfile.TemporaryDirectory(prefix="fluxiq-bench-") as directory,
        peers(at, fastapi=False) as (django, fastapi),
        service(f"sqlite:///{directory}/db.sqlite3", "") as served,
    ):
        everything = of_peers(django, fastapi) | of_service(served)
        targets = {name: everything[name] for name in (PLAIN, VERIFY_KEY, VERIFY_TOKEN)}
        rates = compared(targets, options)
    rows = [
        Row(f"{name}, embedded", PLAIN, Ratio.of(rates[name], rates[PLAIN]), AT_LEAST)
        for name in (VERIFY_KEY, VERIFY_TOKEN)
    ]
    return Report(rows, {"answers a second": rates})


if __name__ == "__main__":
    main("embedded", measure)
