"""The service beside the stock peers, in one table. `make bench`, or from the root:

.venv/bin/python -m bench --only verify,accounts --rounds 3 --seconds 4
"""

from argparse import ArgumentTypeError
from collections.abc import Mapping
from pathlib import Path

from bench import calls, embedded, growth, memory, refresh, signin
from bench.options import Measure, parser, prepare, run
from bench.report import kept_table, paste, say, table

PARTS: Mapping[str, Measure] = {
    "verify": calls.verify,
    "accounts": calls.accounts,
    "signin": signin.measure,
    "refresh": refresh.measure,
    "embedded": embedded.measure,
    "memory": memory.measure,
    "growth": growth.measure,
}
USUAL = ("verify", "accounts", "signin", "refresh")
# Where the tables go, and which parts are in each.
DOCUMENTS: Mapping[Path, tuple[str, ...]] = {
    Path("README.md"): USUAL,
    Path("docs") / "performance.md": tuple(PARTS),
}


def chosen(text: str) -> tuple[str, ...]:
    """The parts that an option names. Raises ArgumentTypeError for what is none."""
    names = tuple(PARTS) if text == "all" else tuple(text.split(","))
    if unknown := set(names).difference(PARTS):
        raise ArgumentTypeError(f"no such part: {', '.join(sorted(unknown))}")
    return names


def main() -> None:
    """Measure, print the table, write the figures and, where asked to, the documents' tables."""
    options_of = parser()
    options_of.add_argument(
        "--only",
        type=chosen,
        default=",".join(USUAL),
        help=f"which of {', '.join(PARTS)}, with commas between; or all",
    )
    options_of.add_argument(
        "--write", action="store_true", help="renew the tables of README and docs"
    )
    options = options_of.parse_args()
    prepare()
    rows = [row for part in options.only for row in run(part, PARTS[part], options)]
    if len(options.only) > 1:
        say(f"\n{table(rows)}\n")
    say(f"The figures are in {options.out}")
    if options.write:
        for document, parts in DOCUMENTS.items():
            paste(document, kept_table(options.out, parts))
            say(f"The table of {document} is renewed")


if __name__ == "__main__":
    main()
