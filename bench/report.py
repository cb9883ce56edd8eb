"""What is measured, as ratios of one run: how it is summed up, printed and kept."""

import datetime
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


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
        if self.at_least is None or self.aim is None:
            return ""
        if self.ratio.median >= self.aim:
            return "aim reached"
        return "holds" if self.ratio.median >= self.at_least else "MISSED"

    @property
    def goal(self) -> str:
        """What is hoped for, in words."""
        if self.at_most is not None:
            return f"at most {self.at_most:g}"
        if self.at_least is None or self.aim is None:
            return ""
        return f"{self.at_least:g}, aim {self.aim:g}"


@dataclass
class Report:
    """All that a run found: the ratios, and the figures that they were made of."""

    rows: list[Row] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def extend(self, other: "Report") -> None:
        """Take in what another part found."""
        self.rows += other.rows
        self.figures |= other.figures

    def table(self) -> str:
        """The ratios as a Markdown table."""
        lines = ["| | to | ratio (range) | goal | |", "|---|---|---|---|---|"]
        lines += [
            f"| {row.what} | {row.reference} | {row.ratio} | {row.goal} | {row.verdict} |"
            for row in self.rows
        ]
        return "\n".join(lines)

    def write(self, path: Path, options: object) -> None:
        """Write everything as JSON."""
        rows = [{**asdict(row), "verdict": row.verdict} for row in self.rows]
        content = {**machine(), "options": vars(options), "rows": rows, "figures": self.figures}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2, default=str) + "\n")


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
