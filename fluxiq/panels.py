"""What stands on pages of the staff console for looking at: tables, and charts drawn as SVG.

Drawn here, a chart needs no script, and a page may forbid all but its own files.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString

Text = str | Promise

_TICKS = (1, 2, 2.5, 4, 5, 10)  # what the top of a scale may begin with


@dataclass(frozen=True)
class Table:
    """Rows of cells, and a way to all of them where there are more."""

    title: Text
    headers: Sequence[Text]
    rows: Sequence[Sequence[Any]]
    more_url: str = ""
    note: Text = ""

    template = "admin/panels/table.html"


@dataclass(frozen=True)
class Series:
    """One of the counts that a chart stacks; `tone` is its colour's class."""

    name: Text
    tone: str
    values: Sequence[int]

    @property
    def total(self) -> str:
        """The sum of it, as it is written in the language in use."""
        return number_format(sum(self.values), force_grouping=True)


@dataclass(frozen=True)
class Part:
    """The part of a bar that is one series': in percent of the chart's height, from its top."""

    tone: str
    top: float
    height: float


@dataclass(frozen=True)
class Bar:
    """A bar: in percent of the chart's width, with what is said of it."""

    left: float
    width: float
    parts: Sequence[Part]
    says: str


@dataclass(frozen=True)
class Chart:
    """Counts by time, stacked: `labels` name the bars, `shown` of which stand below them."""

    title: Text
    labels: Sequence[str]
    series: Sequence[Series]
    shown: Sequence[str] = field(default_factory=tuple)

    template = "admin/panels/chart.html"

    @property
    def top(self) -> int:
        """The top of the scale: round, and not below any bar."""
        return round_up(max((sum(v) for v in self._columns()), default=0))

    @property
    def scale(self) -> str:
        """The top as it is written."""
        return number_format(self.top, force_grouping=True)

    def _columns(self) -> Iterable[tuple[int, ...]]:
        return zip(*(tuple(max(v, 0) for v in s.values) for s in self.series), strict=True)

    @property
    def bars(self) -> list[Bar]:
        """What is drawn."""
        top, step = self.top, 100 / max(len(self.labels), 1)
        bars = []
        for number, (label, column) in enumerate(zip(self.labels, self._columns(), strict=True)):
            reached, parts = 0.0, []
            for series, value in zip(self.series, column, strict=True):
                height = 100 * value / top
                reached += height
                if value:
                    parts.append(Part(series.tone, round(100 - reached, 3), round(height, 3)))
            told = ", ".join(
                f"{s.name} {number_format(v, force_grouping=True)}"
                for s, v in zip(self.series, column, strict=True)
            )
            left = round(number * step + step * 0.12, 3)
            bars.append(Bar(left, round(step * 0.76, 3), parts, f"{label}: {told}"))
        return bars


def round_up(count: int) -> int:
    """The next round number that is not below the count, at least 4."""
    magnitude = 1
    while magnitude * 10 < count:
        magnitude *= 10
    tops = (int(magnitude * tick) for tick in _TICKS if magnitude * tick >= count)
    return max(next(tops, magnitude * 10), 4)


def sparkline(values: Sequence[int], says: str) -> SafeString:
    """A small picture of counts, a bar for each, and in words what it shows."""
    top = max(max(values, default=0), 1)
    edges = [round(100 * n / max(len(values), 1), 2) for n in range(len(values) + 1)]
    path = "".join(
        f"M{left} 24V{round(24 - 22 * max(value, 0) / top, 2)}H{round(right - 0.8, 2)}V24Z"
        for (left, right), value in zip(pairwise(edges), values, strict=True)
        if value > 0
    )
    return format_html(
        '<svg class="fx-spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img"'
        ' aria-label="{}"><title>{}</title><path d="M0 23.5H100" class="fx-base"/>'
        '<path d="{}"/></svg>',
        says,
        says,
        path,
    )
