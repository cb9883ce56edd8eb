"""Retention: what is old, and was exported, is removed from the database.

Only what is below a checkpoint goes, and only after a leave to remove it was written down under a
key of the ring: the triggers let nothing else pass, and whoever verifies what is left asks for the
leave. PostgreSQL lets the role ROLE alone do it; on SQLite the leave is all that guards.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from fluxiq.audit import chain, ring, verification
from fluxiq.audit.models import AuditEvent, Checkpoint, Kind, Prune, Seal, record
from fluxiq.audit.verification import Step, ignore
from fluxiq.errors import Conflict

ROLE = "fluxiq_retention"  # as the triggers name it
BATCH = 500


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many events went, and the position below which nothing is left; 0 for none yet."""

    events: int
    below: int


def newest(keep: timedelta) -> Checkpoint | None:
    """The newest checkpoint that was made so long ago or longer."""
    return (
        Checkpoint.objects.filter(exported_at__lte=timezone.now() - keep)
        .order_by("-position")
        .first()
    )


def count(keep: timedelta) -> int:
    """How many events `prune` would remove."""
    checkpoint = newest(keep)
    below = max(_pruned(), checkpoint.position if checkpoint is not None else 0)
    return Seal.objects.filter(position__lt=below).count()


def prune(keep: timedelta, step: Step = ignore) -> Pruned:
    """Remove every event that was exported so long ago, but the last of that export.

    One that was interrupted is finished. Raises Conflict for a checkpoint that is not genuine, and
    IntegrityError where the triggers refuse.
    """
    checkpoint = newest(keep)
    if checkpoint is not None and checkpoint.position > _pruned():
        _allow(checkpoint)
    below, events = _pruned(), 0
    while removed := _remove(below):
        events += removed
        step(events)
    return Pruned(events, below)


def _pruned() -> int:
    """The position below which may be removed."""
    last = Prune.objects.order_by("-checkpoint_id").values_list("checkpoint_id", flat=True).first()
    return last or 0


@transaction.atomic
def _allow(checkpoint: Checkpoint) -> None:
    """Write down the leave to remove what is below the checkpoint."""
    if not verification.is_genuine(checkpoint):
        raise Conflict(f"The checkpoint at {checkpoint.position} is not under a key of AUDIT_KEYS")
    key = ring.ring()[0]
    leave = Prune(checkpoint=checkpoint, at=timezone.now(), key_id=key.id)
    leave.mac = key.mac(chain.prune_message(leave))
    leave.save()
    record(Kind.TRAIL_PRUNED, object_id="", after={"below": checkpoint.position})


@transaction.atomic
def _remove(below: int) -> int:
    """Remove the first events and seals below that position. Returns how many."""
    seals = Seal.objects.filter(position__lt=below).order_by("position")
    batch = list(seals.values_list("position", "event_id")[:BATCH])
    if batch:
        # Events first: the trigger looks their positions up among the seals.
        _delete(AuditEvent._meta.db_table, "id", [event_id for _, event_id in batch])
        _delete(Seal._meta.db_table, "position", [position for position, _ in batch])
    return len(batch)


def _delete(table: str, column: str, values: list[Any]) -> None:
    # Past the models, which refuse.
    marks = ", ".join(["%s"] * len(values))
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE {column} IN ({marks})", values)  # noqa: S608 - our own names
