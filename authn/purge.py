"""What nobody can use and nothing asks about any more is removed, a batch at a time.

A session's `expires_at` is that of its newest refresh token, and no token of it lives longer. So
once it has passed, each of them is refused with or without the session's row. The row stays
KNOWN_ADDRESS_AGE longer: until then the sign-in throttle may ask where its document signed in
from. Audit events and memberships are never touched.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.sessions.models import Session as StaffSession
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from authn.models import ApiKeyUsage, MfaChallenge, MovedBatch, Session, TotpFactor
from authn.models.usage import BATCHES_KEPT
from authn.models.usage import KEPT as USAGE_KEPT
from authn.throttle import KNOWN_ADDRESS_AGE

BATCH_SIZE = 1000

Step = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Purged:
    """How many rows went."""

    sessions: int
    tokens: int
    staff_sessions: int
    usage: int


def ignore(done: int) -> None:
    """For who does not want to know how far it is."""


class _Progress:
    """How many rows went so far, of whatever table."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._done = 0

    def add(self, rows: int) -> None:
        self._done += rows
        self._step(self._done)


def purge_expired(batch_size: int = BATCH_SIZE, step: Step = ignore) -> Purged:
    """Remove dead sessions, expired refresh tokens, expired sessions of the staff console,
    challenges and enrolments that are over, and counts of API keys' use of over 400 days ago.

    Each batch is a transaction of its own, so that no lock is held for long and an interrupted
    purge keeps what it has done. `step` is told, after each batch, how many rows are gone.
    """
    progress = _Progress(step)

    def delete(rows: QuerySet[Any]) -> int:
        return _delete(rows, batch_size, progress)

    now = timezone.now()
    dead = Session.objects.filter(expires_at__lte=now - KNOWN_ADDRESS_AGE)
    expired = StaffSession.objects.filter(expire_date__lte=now)
    old_usage = ApiKeyUsage.objects.filter(hour__lt=now - USAGE_KEPT)
    old_batches = MovedBatch.objects.filter(moved_at__lt=now - BATCHES_KEPT)
    delete(old_batches.order_by("moved_at"))
    over = MfaChallenge.objects.filter(expires_at__lte=now)
    delete(over.order_by("expires_at"))
    delete(TotpFactor.objects.given_up().order_by("created_at"))
    # Sessions go first: each one's last token is held by it.
    return Purged(
        sessions=delete(dead.order_by("expires_at")),
        tokens=sum(_delete_tokens(b, progress) for b in _expired_tokens(now, batch_size)),
        staff_sessions=delete(expired.order_by("expire_date")),
        usage=delete(old_usage.order_by("hour")),
    )


def _delete(rows: QuerySet[Any], batch_size: int, progress: _Progress) -> int:
    """Delete these rows in batches. Returns how many."""
    deleted = 0
    while True:
        with transaction.atomic():
            found = rows.select_for_update(skip_locked=True).values_list("pk", flat=True)
            batch = list(found[:batch_size])
            rows.model._base_manager.filter(pk__in=batch).delete()
        deleted += len(batch)
        progress.add(len(batch))
        if len(batch) < batch_size:
            return deleted


def _expired_tokens(now: datetime, batch_size: int) -> Iterator[list[int]]:
    """The ids of expired tokens, batch by batch along the key: their expiry has no index."""
    last = 0
    while True:
        following = OutstandingToken.objects.filter(pk__gt=last).order_by("pk")
        batch = list(following.values_list("pk", "expires_at")[:batch_size])
        if not batch:
            return
        yield [pk for pk, expires_at in batch if expires_at <= now]
        last = batch[-1][0]


def _delete_tokens(ids: list[int], progress: _Progress) -> int:
    """Delete those of these tokens that no session points at, and their blacklisting."""
    with transaction.atomic():
        held = Session.objects.filter(current_id__in=ids).values_list("current_id", flat=True)
        free = set(ids).difference(held)
        _, per_model = OutstandingToken.objects.filter(pk__in=free).order_by().delete()
    deleted: int = per_model.get(OutstandingToken._meta.label, 0)
    progress.add(deleted)
    return deleted
