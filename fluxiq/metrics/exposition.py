"""What `/metrics` answers, in Prometheus' text format."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from django.conf import settings
from django.utils.module_loading import import_string
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder

from fluxiq.metrics import shared
from fluxiq.metrics.families import (
    BREAKER,
    BREAKER_OPEN,
    COUNTED,
    DEGRADED,
    OF_WORKERS,
    REQUEST_SECONDS,
    REQUESTS,
    SECOND,
    WORKERS,
    Family,
)
from fluxiq.metrics.shared import Totals

# Parts that tell of themselves at a scrape: gauges by family and labels.
Gauges = Mapping[tuple[Family, tuple[str, ...]], float]
Source = Callable[[], Gauges]

UNMATCHED = "unmatched"  # the route of what no URL names
ANONYMOUS = "anonymous"


def render(accept: str) -> tuple[bytes, str]:
    """The metrics of this host, and their content type, as the scraper accepts it.

    Raises OSError where what was counted cannot be read.
    """
    encode, content_type = choose_encoder(accept)
    registry = CollectorRegistry()
    registry.register(_Collector())
    return encode(registry), content_type


class _Collector:
    """Everything, once."""

    def collect(self) -> Iterator[Metric]:
        found = shared.read(Path(settings.METRICS_DIRECTORY))
        for family in COUNTED:
            yield from _metrics(family, found.totals)
        for family in OF_WORKERS:
            if (family.name,) in found.totals:
                yield GaugeMetricFamily(
                    family.name, family.help, value=found.totals[(family.name,)][0]
                )
        open_workers = found.totals.get((BREAKER_OPEN.name,), [0])[0]
        gauges = {
            (WORKERS, ()): float(found.workers),
            (BREAKER, ()): float(open_workers > 0),
            (DEGRADED, ("counters",)): float(open_workers > 0),
        }
        for source in settings.METRICS_SOURCES:
            gauges |= import_string(source)()
        yield from _gauges(gauges)


def _metrics(family: Family, totals: Totals) -> Iterator[Metric]:
    cells: dict[tuple[str | int, ...], list[int]] = {known: [0] for known in family.known}
    cells |= {key[1:]: values for key, values in totals.items() if key[0] == family.name}
    if family is REQUESTS:
        cells = {_named(key): values for key, values in cells.items()}
        yield _counter(family, {key: [_count(values)] for key, values in cells.items()})
        by_route: dict[tuple[str | int, ...], list[int]] = {}
        for key, values in cells.items():
            before = by_route.setdefault(key[:2], [0] * len(values))
            by_route[key[:2]] = [a + b for a, b in zip(before, values, strict=True)]
        yield _histogram(REQUEST_SECONDS, by_route)
    elif family.bounds:
        yield _histogram(family, cells)
    else:
        yield _counter(family, cells)


def _named(key: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The labels of a request, as people read them."""
    method, route, status, kind = key
    return (
        method,
        f"/{route}" if route else UNMATCHED,
        status,
        ANONYMOUS if kind == "system" else kind,
    )


def _count(values: list[int]) -> int:
    return sum(values[:-1])


def _counter(family: Family, cells: Mapping[tuple[str | int, ...], list[int]]) -> Metric:
    metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for key, values in sorted(cells.items(), key=_text):
        metric.add_metric([str(label) for label in key], values[0])
    return metric


def _histogram(family: Family, cells: Mapping[tuple[str | int, ...], list[int]]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    names = [*(repr(bound / SECOND) for bound in family.bounds), "+Inf"]
    for key, values in sorted(cells.items(), key=_text):
        so_far, buckets = 0, []
        for name, count in zip(names, values, strict=False):
            so_far += count
            buckets.append((name, float(so_far)))
        metric.add_metric([str(label) for label in key], buckets, values[-1] / SECOND)
    return metric


def _text(item: tuple[tuple[str | int, ...], list[int]]) -> list[str]:
    return [str(label) for label in item[0]]


def _gauges(gauges: Gauges) -> Iterator[Metric]:
    families: dict[str, GaugeMetricFamily] = {}
    for (family, labels), value in gauges.items():
        metric = families.setdefault(
            family.name, GaugeMetricFamily(family.name, family.help, labels=family.labels)
        )
        metric.add_metric(labels, value)
    yield from families.values()
