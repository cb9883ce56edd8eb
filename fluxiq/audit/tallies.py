"""What may happen thousands of times a minute: counted, and one event of the trail for each minute.

A request only counts in this process's memory. Each second a thread adds the counts to a table,
where those of all processes meet; once a minute is over, one event tells each count of it. Who is
killed outright loses the counts of the last second.
"""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from fluxiq import origin
from fluxiq.audit.models import Kind, Tally, TallyHour, record
from fluxiq.origin import Origin

MINUTE = timedelta(minutes=1)
# After a minute is over: a process adds its counts each second, or as its clock has it.
GRACE = timedelta(seconds=10)
BATCH = 200

ANYBODY = ("anonymous", "")


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """What is counted together."""

    minute: datetime
    kind: str
    actor_kind: str
    actor_id: str
    merchant_id: str
    object_id: str
    detail: str


_lock = threading.Lock()
_counts: dict[Subject, tuple[int, str]] = {}  # and the address of the last


def count(
    kind: Kind,
    *,
    actor: tuple[str, str] = ANYBODY,
    merchant_id: str = "",
    object_id: str = "",
    detail: str = "",
) -> None:
    """Count one, from the address of the work in hand. It costs no trip and no query.

    What a stranger chooses freely may stand in none of these, or they flood the trail after all.
    """
    minute = timezone.now().replace(second=0, microsecond=0)
    subject = Subject(minute, kind, *actor, merchant_id, object_id, detail)
    _add(subject, 1, origin.current().address)


def _add(subject: Subject, count: int, address: str) -> None:
    with _lock:
        _counts[subject] = (_counts.get(subject, (0, ""))[0] + count, address)


def store() -> int:
    """Add what this process counted to the table. Returns how many subjects there were."""
    with _lock:
        counts = sorted(_counts.items())  # in one order, so that two do not wait for each other
        _counts.clear()
    if not counts:
        return 0
    try:
        _upsert([(*astuple(subject), count, address) for subject, (count, address) in counts])
    except BaseException:
        for subject, (number, address) in counts:
            _add(subject, number, address)
        raise
    return len(counts)


def forget() -> None:
    """Drop what this process counted and has not stored."""
    with _lock:
        _counts.clear()


@transaction.atomic
def _upsert(rows: list[tuple[Any, ...]]) -> None:
    # bulk_create(update_conflicts) can only replace.
    columns = "minute, kind, actor_kind, actor_id, merchant_id, object_id, detail"
    table = Tally._meta.db_table
    statement = f"""
        INSERT INTO {table} ({columns}, count, address)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT ({columns}) DO UPDATE
        SET count = {table}.count + excluded.count, address = excluded.address
    """  # noqa: S608 - of our own names
    adapt = connection.ops.adapt_datetimefield_value
    with connection.cursor() as cursor:
        cursor.executemany(statement, [(adapt(row[0]), *row[1:]) for row in rows])


def tell() -> int:
    """Write an event for each count of the minutes that are over. Returns how many."""
    over = timezone.now() - GRACE - MINUTE
    told = 0
    while Tally.objects.filter(minute__lte=over).exists():
        count = _tell_batch(over)
        told += count
        if count < BATCH:
            break
    return told


@transaction.atomic
def _tell_batch(over: datetime) -> int:
    rows = list(
        Tally.objects.select_for_update(skip_locked=True)
        .filter(minute__lte=over)
        .order_by("minute", "pk")[:BATCH]
    )
    for row in rows:
        after: dict[str, object] = {"count": row.count}
        if row.detail:
            after["required_permission"] = row.detail
        with origin.working_as(Origin(address=row.address)):
            record(
                Kind(row.kind),
                object_id=row.object_id,
                merchant_id=row.merchant_id,
                after=after,
                actor=(row.actor_kind, row.actor_id),
                at=row.minute,
            )
    add_to_hours((row.kind, row.minute, row.count) for row in rows)
    Tally.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


def add_to_hours(counts: Iterable[tuple[str, datetime, int]]) -> None:
    """Add counts (kind, when, how many) to those of their hours, in the transaction in hand."""
    hours: Counter[tuple[str, datetime]] = Counter()
    for kind, moment, number in counts:
        hours[kind, moment.replace(minute=0, second=0, microsecond=0)] += number
    # bulk_create(update_conflicts) can only replace.
    table = TallyHour._meta.db_table
    statement = f"""
        INSERT INTO {table} (kind, hour, count) VALUES (%s, %s, %s)
        ON CONFLICT (kind, hour) DO UPDATE SET count = {table}.count + excluded.count
    """  # noqa: S608 - of our own names
    adapt = connection.ops.adapt_datetimefield_value
    with connection.cursor() as cursor:
        # In one order, so that two who add do not wait for each other.
        cursor.executemany(statement, [(k, adapt(h), n) for (k, h), n in sorted(hours.items())])
