"""What the staff console's home shows: counts, and keys that somebody should look at.

Every figure is read by an index, and from a bounded number of rows, however many there are:
requests and failed sign-ins from the totals of their hours, events by kind and by the time that
their ids begin with, keys by partial indexes. Good sign-ins alone are counted, in an index.
"""

import sqlite3
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise

from django.db import Error, connection
from django.db.models import QuerySet, Sum
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from authn.models import ApiKey, ApiKeyUsage, UsageTotal
from fluxiq import counters, ids
from fluxiq.audit.models import AuditEvent, Kind, TallyHour
from fluxiq.counters import SharedCounters
from fluxiq.panels import Chart, Series

HOURS, DAYS = 24, 30
SHOWN = 8  # rows of a table on the home page
COUNTED = 1_000  # beyond which "more than" is said instead of a number

_HOUR = timedelta(hours=1)

Counts = tuple[int, int, int]  # admitted, refused, limited


def _last_hours() -> list[datetime]:
    """The beginnings of the last hours, this one's last."""
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    return [now - n * _HOUR for n in reversed(range(HOURS))]


def _last_days() -> list[date]:
    """The last days where staff are, today last."""
    today = timezone.localdate()
    return [today - timedelta(days=n) for n in reversed(range(DAYS))]


def _beginning(day: date) -> datetime:
    """When a day begins where staff are."""
    return timezone.make_aware(datetime.combine(day, datetime.min.time()))


def _by_day(hours: Iterable[tuple[datetime, int, int, int]]) -> dict[date, Counts]:
    found: dict[date, Counts] = defaultdict(lambda: (0, 0, 0))
    for hour, *counts in hours:
        day = timezone.localtime(hour).date()
        admitted, refused, limited = found[day]
        found[day] = (admitted + counts[0], refused + counts[1], limited + counts[2])
    return found


# Requests


def hours_of_all() -> list[tuple[datetime, int, int, int]]:
    """The requests of all keys, by the hour, as far back as the days that are shown begin."""
    rows = UsageTotal.objects.filter(hour__gte=_beginning(_last_days()[0])).order_by("hour")
    return list(rows.values_list("hour", "admitted", "refused", "limited"))


def days_of_key(api_key: ApiKey) -> dict[date, Counts]:
    """The requests of one key, by the day."""
    rows = api_key.usage.filter(hour__gte=_beginning(_last_days()[0]))
    return _by_day(rows.values_list("hour", "admitted", "refused", "limited"))


def days_of_keys(api_keys: Iterable[ApiKey]) -> dict[str, list[int]]:
    """For each of a few keys, how many requests it was admitted on each of the last days."""
    days = {day: number for number, day in enumerate(_last_days())}
    found = {api_key.pk: [0] * DAYS for api_key in api_keys}
    rows = ApiKeyUsage.objects.filter(
        api_key__in=list(found), hour__gte=_beginning(_last_days()[0])
    )
    for key_id, hour, admitted in rows.values_list("api_key_id", "hour", "admitted"):
        found[key_id][days[timezone.localtime(hour).date()]] += admitted
    return found


def _of_requests(counts: Sequence[Counts]) -> list[Series]:
    return [
        Series(_("admitted"), "admitted", [c[0] for c in counts]),
        Series(_("refused"), "refused", [c[1] for c in counts]),
        Series(_("limited"), "limited", [c[2] for c in counts]),
    ]


def _hour_label(hour: datetime) -> str:
    return date_format(timezone.localtime(hour), "H:i")


def _day_label(day: date) -> str:
    return date_format(day, "j M")


def _chart(title: str, labels: list[str], series: list[Series]) -> Chart:
    last = len(labels) - 1
    shown = [labels[last * n // 4] for n in range(5)]
    return Chart(title, labels, series, shown)


def requests_by_day(days: Mapping[date, Counts]) -> Chart:
    """The chart of requests over the last days."""
    labels = [_day_label(day) for day in _last_days()]
    counts = [days.get(day, (0, 0, 0)) for day in _last_days()]
    return _chart(_("Requests with keys, 30 days"), labels, _of_requests(counts))


def charts(*, of_requests: bool, of_sign_ins: bool) -> list[Chart]:
    """Requests and sign-ins, over the last hours and the last days."""
    hours, days = _last_hours(), _last_days()
    hour_labels, day_labels = [*map(_hour_label, hours)], [*map(_day_label, days)]
    drawn = []
    if of_requests:
        all_hours = hours_of_all()
        found: dict[datetime, Counts] = {hour: (a, r, li) for hour, a, r, li in all_hours}
        counts = [found.get(hour, (0, 0, 0)) for hour in hours]
        drawn += [
            _chart(_("Requests with keys, 24 hours"), hour_labels, _of_requests(counts)),
            requests_by_day(_by_day(all_hours)),
        ]
    if of_sign_ins:
        hour_edges = [*hours, hours[-1] + _HOUR]
        day_edges = [_beginning(day) for day in (*days, days[-1] + timedelta(days=1))]
        drawn += [
            _chart(_("Sign-ins, 24 hours"), hour_labels, _sign_ins(hour_edges)),
            _chart(_("Sign-ins, 30 days"), day_labels, _sign_ins(day_edges)),
        ]
    return drawn


# Sign-ins

_GOOD = (Kind.SESSION_STARTED, Kind.STAFF_SIGNED_IN)
# Added up by the hour as they are told: of a month, some hundreds of rows, whoever was attacked.
_FAILED = (Kind.SIGN_IN_FAILED, Kind.SIGN_IN_THROTTLED)


def _sign_ins(edges: Sequence[datetime]) -> list[Series]:
    """Good and bad ones in the spans between these moments."""
    return [
        Series(_("good"), "admitted", _events_between(edges, _GOOD)),
        Series(_("failed"), "refused", _failures_between(edges)),
    ]


def _events_between(edges: Sequence[datetime], kinds: Sequence[Kind]) -> list[int]:
    """How many events of these kinds each span has: counts in the index of kinds and ids."""
    marks = [ids.first_at(ids.Prefix.EVENT, moment) for moment in edges]
    spans = list(pairwise(marks))
    table = AuditEvent._meta.db_table
    one = f"(SELECT COUNT(*) FROM {table} WHERE kind = %s AND id >= %s AND id < %s)"  # noqa: S608 - our own name
    span = " + ".join([one] * len(kinds))
    values = [value for low, high in spans for kind in kinds for value in (kind.value, low, high)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join([span] * len(spans)), values)
        return list(cursor.fetchone())


def _failures_between(edges: Sequence[datetime]) -> list[int]:
    """How many attempts failed in each span."""
    found = [0] * (len(edges) - 1)
    hours = TallyHour.objects.filter(kind__in=_FAILED, hour__gte=edges[0], hour__lt=edges[-1])
    for hour, count in hours.values_list("hour", "count"):
        found[bisect_right(edges, hour) - 1] += count
    return found


def reuses(days: int = DAYS) -> "QuerySet[AuditEvent]":
    """The last events of sessions ended because a spent refresh token was used again."""
    since = ids.first_at(ids.Prefix.EVENT, timezone.now() - timedelta(days=days))
    return AuditEvent.objects.filter(kind=Kind.SESSION_REUSE_DETECTED, pk__gte=since).order_by(
        "-pk"
    )


# Keys


def busiest(shown: int = SHOWN) -> list[tuple[ApiKey, int]]:
    """The keys with the most admitted requests in the last hours, and how many."""
    rows = (
        ApiKeyUsage.objects.filter(hour__gte=_last_hours()[0])
        .values_list("api_key_id")
        .annotate(total=Sum("admitted"))
        .filter(total__gt=0)
        .order_by("-total", "api_key_id")[:shown]
    )
    totals = dict(rows)
    keys = ApiKey.objects.select_related("merchant").in_bulk(list(totals))
    return [(keys[key_id], total) for key_id, total in totals.items()]


def counted(queryset: "QuerySet[ApiKey]") -> int:
    """How many there are, up to COUNTED."""
    return queryset.order_by()[:COUNTED].count()


# Health


def health() -> list[tuple[str, bool]]:
    """What the service stands on, and whether it answers."""
    return [(_("Database"), _database_answers()), _counters_answer()]


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return False
    return True


def _counters_answer() -> tuple[str, bool]:
    used = counters.of_requests()
    try:
        used.get("health")
    except sqlite3.Error:
        return _("Counters of this machine"), False
    if isinstance(used, SharedCounters):
        return _("Valkey or Redis"), not used.breaker.is_open
    return _("Counters of this machine"), True
