"""What is measured, as ratios of one run: how it is summed up, printed and kept."""

import datetime
import json
import os
import platform
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Where a document holds the table.
BEGIN, END = "<!-- begin: make bench -->", "<!-- end: make bench -->"


class Failed(SystemExit):
    """The measurement is worth nothing; the message says why. Ends the command with it."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median of the ratios of each round, and their range."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> "Ratio":
        """Ours to theirs, round by round."""
        each = [a / b for a, b in zip(ours, theirs, strict=True)]
        return cls(statistics.median(each), min(each), max(each))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: what is compared with what, and what is hoped for."""

    what: str
    reference: str
    ratio: Ratio
    at_least: float | None = None
    aim: float | None = None
    at_most: float | None = None

    @property
    def verdict(self) -> str:
        """How the ratio stands to what is hoped for; empty where nothing is."""
        if self.at_most is not None:
            return "holds" if self.ratio.median <= self.at_most else "MISSED"
        if self.at_least is None:
            return ""
        if self.aim is not None and self.ratio.median >= self.aim:
            return "aim reached"
        return "holds" if self.ratio.median >= self.at_least else "MISSED"

    @property
    def goal(self) -> str:
        """What is hoped for, in words."""
        if self.at_most is not None:
            return f"at most {self.at_most:g}"
        if self.at_least is None:
            return ""
        return f"{self.at_least:g}" + ("" if self.aim is None else f", aim {self.aim:g}")


@dataclass(frozen=True, slots=True)
class Report:
    """What one part found: the ratios, and the figures that they were made of."""

    rows: list[Row]
    figures: Mapping[str, Any]


def table(rows: Iterable[Row]) -> str:
    """The ratios as a Markdown table."""
    lines = ["| | to | ratio (range) | goal | |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.what} | {row.reference} | {row.ratio} | {row.goal} | {row.verdict} |"
        for row in rows
    ]
    return "\n".join(lines)


def keep(path: Path, part: str, report: Report, options: Mapping[str, object]) -> None:
    """Put what a part found in place of what the file held of it."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    rows = [asdict(row) for row in report.rows]
    kept[part] = {**machine(), "options": options, "rows": rows, "figures": report.figures}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=2, default=str) + "\n")


def kept_table(path: Path, parts: Iterable[str]) -> str:
    """A Markdown table of these parts as the file holds them, with their days and the machine."""
    kept = json.loads(path.read_text())
    found = [kept[part] for part in parts if part in kept]
    rows = [
        Row(**{**row, "ratio": Ratio(**row["ratio"])}) for part in found for row in part["rows"]
    ]
    about = {f"{part['date']}, {part['cores']} cores of {part['processor']}" for part in found}
    return f"Measured {'; '.join(sorted(about))}.\n\n{table(rows)}"


def paste(path: Path, text: str) -> None:
    """Put the text between the marks in a document. Raises Failed where they are missing."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise Failed(f"{path} has no {BEGIN} … {END}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def machine() -> dict[str, Any]:
    """When and where this was measured."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "processor": _processor(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
