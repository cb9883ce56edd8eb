"""Sealing: the events that wait for their seal are linked into the chain, a batch at a time.

One at a time seals, whoever comes first, in the order of sealing. Writers of events never wait for
it on PostgreSQL: they take no lock that it takes. On SQLite, where all writers take turns, a batch
is small enough to be one of them.
"""

from datetime import datetime

from django.db import connection, transaction
from django.utils import timezone

from fluxiq.audit import chain, ring
from fluxiq.audit.models import AuditEvent, PendingEvent, Seal

BATCH = 200

# Any number that nothing else in the database locks.
_ADVISORY_LOCK = 0x666C_7578_6971_0001


def seal() -> int:
    """Seal all that waits by now, unless another does. Returns how many were sealed here."""
    sealed, after = 0, ""
    while PendingEvent.objects.filter(pk__gt=after).exists():
        batch = seal_batch(after)
        if batch is None:
            break
        count, after = batch
        sealed += count
    return sealed


@transaction.atomic
def seal_batch(after: str = "") -> tuple[int, str] | None:
    """Seal the first of what waits and has an id after that one.

    Returns how many were sealed, and the last id; None where another is sealing, or was.
    """
    if not _is_sole_writer():
        return None
    waiting = PendingEvent.objects.filter(pk__gt=after).order_by("pk")
    event_ids = list(waiting.values_list("pk", flat=True)[:BATCH])
    if not event_ids:
        return None
    # What no trigger noted (an event that is gone, or sealed) stays, and keeps nobody waiting.
    done = set(Seal.objects.filter(event_id__in=event_ids).values_list("event_id", flat=True))
    found = AuditEvent.objects.filter(pk__in=event_ids).order_by("pk").values(*chain.FIELDS)
    events = [event for event in found if event["id"] not in done]
    Seal.objects.bulk_create(_seals(events, timezone.now()))
    PendingEvent.objects.filter(pk__in=[event["id"] for event in events]).delete()
    return len(events), event_ids[-1]


def _seals(events: list[chain.Event], now: datetime) -> list[Seal]:
    """The seals of these events, in this order, after the last there is."""
    key = ring.ring()[0]
    position, digest = chain.head()
    seals = []
    for event in events:
        position += 1
        digest = key.mac(chain.message(position, digest, key.id, now, event))
        seals.append(
            Seal(
                position=position,
                event_id=event["id"],
                key_id=key.id,
                sealed_at=now,
                digest=digest,
            )
        )
    return seals


def _is_sole_writer() -> bool:
    """Whether nobody else seals until this transaction ends.

    SQLite has one writer at a time, and this transaction began as it (IMMEDIATE).
    """
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
        return bool(cursor.fetchone()[0])
