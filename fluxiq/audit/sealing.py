"""Sealing: the events that wait for their seal are linked into the chain, a batch at a time.

One at a time seals, whoever comes first, in the order of sealing. Writers of events never wait for
it on PostgreSQL: they take no lock that it takes. On SQLite, where all writers take turns, a batch
is small enough to be one of them.
"""

from datetime import datetime

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from fluxiq.audit import chain, ring
from fluxiq.audit.models import AuditEvent, PendingEvent, Seal

BATCH = 200

# Any number that nothing else in the database locks.
_ADVISORY_LOCK = 0x666C_7578_6971_0001


def seal() -> int:
    """Seal all that waits by now, unless another does. Returns how many were sealed here."""
    sealed = 0
    while PendingEvent.objects.exists():
        count = seal_batch()
        sealed += count
        if count < BATCH:
            break
    return sealed


@transaction.atomic
def seal_batch() -> int:
    """Seal the first of what waits. Returns how many: 0 where another is sealing."""
    if not _is_sole_writer():
        return 0
    # What a trigger did not note itself (an event that is gone, or sealed) keeps nobody waiting.
    event_of, seal_of = (
        AuditEvent.objects.filter(pk=OuterRef("event_id")),
        Seal.objects.filter(event_id=OuterRef("event_id")),
    )
    waiting = PendingEvent.objects.filter(Exists(event_of), ~Exists(seal_of)).order_by("event_id")
    event_ids = list(waiting.values_list("event_id", flat=True)[:BATCH])
    if not event_ids:
        return 0
    events = AuditEvent.objects.filter(pk__in=event_ids).order_by("pk").values(*chain.FIELDS)
    Seal.objects.bulk_create(_seals(list(events), timezone.now()))
    PendingEvent.objects.filter(pk__in=event_ids).delete()
    return len(event_ids)


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
