"""The command line of the measurements."""

import argparse
from collections.abc import Callable
from pathlib import Path

from bench.load import need_wrk
from bench.report import Report, machine, say

ROUNDS, SECONDS = 7, 3
RESULTS = Path("var") / "bench.json"


def parser() -> argparse.ArgumentParser:
    """The options that every measurement takes."""
    made = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--rounds", type=int, default=ROUNDS, help="how often each takes its turn")
    made.add_argument("--seconds", type=int, default=SECONDS, help="how long a turn is")
    made.add_argument("--out", type=Path, default=RESULTS, help="where the figures go, as JSON")
    return made


def show(report: Report, options: argparse.Namespace) -> None:
    """Print the table, and write the figures."""
    about = machine()
    say(f"\n{about['date']}, {about['cores']} cores, {about['processor']}\n\n{report.table()}\n")
    report.write(options.out, options)
    say(f"The figures are in {options.out}")


def main(measure: Callable[[argparse.Namespace], Report]) -> None:
    """Run one measurement as a command."""
    options = parser().parse_args()
    need_wrk()
    show(measure(options), options)
