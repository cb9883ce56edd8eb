"""The command line of the measurements."""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from bench.load import need_wrk
from bench.report import Report, Row, keep, machine, say, table

Measure = Callable[[argparse.Namespace], Report]

ROUNDS, SECONDS = 7, 3
RESULTS = Path("var") / "bench.json"


def parser() -> argparse.ArgumentParser:
    """The options that every measurement takes."""
    made = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--rounds", type=int, default=ROUNDS, help="how often each takes its turn")
    made.add_argument("--seconds", type=int, default=SECONDS, help="how long a turn is")
    made.add_argument("--out", type=Path, default=RESULTS, help="where the figures go, as JSON")
    return made


def prepare() -> None:
    """See that there is wrk, and have an end by SIGTERM put away what was started.

    Raises Failed without wrk.
    """
    need_wrk()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def run(part: str, measure: Measure, options: argparse.Namespace) -> list[Row]:
    """Measure a part, print its table, and write its figures."""
    say(f"Measuring {part}")
    report = measure(options)
    about = machine()
    say(
        f"\n{about['date']}, {about['cores']} cores, {about['processor']}\n\n{table(report.rows)}\n"
    )
    keep(options.out, part, report, {"rounds": options.rounds, "seconds": options.seconds})
    return report.rows


def main(part: str, measure: Measure) -> None:
    """Run one measurement as a command."""
    options = parser().parse_args()
    prepare()
    run(part, measure, options)
    say(f"The figures are in {options.out}")
