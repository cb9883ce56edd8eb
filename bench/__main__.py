"""The service beside the stock peers, in one table. `make bench`, or from the root:

.venv/bin/python -m bench --only verify,accounts --rounds 3 --seconds 4
"""

from argparse import Namespace

from bench import calls
from bench.load import need_wrk
from bench.options import parser, show
from bench.report import Report, say

PARTS = ("verify", "accounts")
CALLS = frozenset({"verify", "accounts"})


def chosen(text: str) -> list[str]:
    """The parts that an option names. Raises ValueError for what is none."""
    names = list(PARTS) if text == "all" else text.split(",")
    for name in names:
        if name not in PARTS:
            raise ValueError(name)
    return names


def measure(options: Namespace) -> Report:
    """Every part that is asked for, in turn."""
    report = Report()
    if called := CALLS.intersection(options.only):
        say(f"Measuring {', '.join(sorted(called))}")
        report.extend(calls.measure(options, called))
    return report


def main() -> None:
    """Measure, print the table, write the figures."""
    options_of = parser()
    options_of.add_argument(
        "--only", type=chosen, default=chosen("all"), help=f"some of: {', '.join(PARTS)}; or all"
    )
    options = options_of.parse_args()
    need_wrk()
    show(measure(options), options)


if __name__ == "__main__":
    main()
