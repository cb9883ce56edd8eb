"""What nobody can use and nothing asks about any more is removed, a batch at a time.

A session's `expires_at` is that of its newest refresh token, and no token of it lives longer. So
once it has passed, each of them is refused with or without the session's row. The row stays
KNOWN_ADDRESS_AGE longer: until then the sign-in throttle may ask where its document signed in
from. Audit events and memberships are never touched.
"""

from collections.abc import Iterator
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


@dataclass(frozen=True, slots=True)
class Purged:
    """How many rows went."""

    sessions: int
    tokens: int
    staff_sessions: int
    usage: int


def purge_expired(batch_size: int = BATCH_SIZE) -> Purged:
    """Remove dead sessions, expired refresh tokens, expired sessions of the staff console,
    challenges and enrolments that are over, and counts of API keys' use of over 400 days ago.

    Each batch is a transaction of its own, so that no lock is held for long and an interrupted
    purge keeps what it has done.
    """
    now = timezone.now()
    dead = Session.objects.filter(expires_at__lte=now - KNOWN_ADDRESS_AGE)
    expired = StaffSession.objects.filter(expire_date__lte=now)
    old_usage = ApiKeyUsage.objects.filter(hour__lt=now - USAGE_KEPT)
    old_batches = MovedBatch.objects.filter(moved_at__lt=now - BATCHES_KEPT)
    _delete(old_batches.order_by("moved_at"), batch_size)
    over = MfaChallenge.objects.filter(expires_at__lte=now)
    _delete(over.order_by("expires_at"), batch_size)
    _delete(TotpFactor.objects.given_up().order_by("created_at"), batch_size)
    # Sessions go first: each one's last token is held by it.
    return Purged(
        sessions=_delete(dead.order_by("expires_at"), batch_size),
        tokens=sum(map(_delete_tokens, _expired_tokens(now, batch_size))),
        staff_sessions=_delete(expired.order_by("expire_date"), batch_size),
        usage=_delete(old_usage.order_by("hour"), batch_size),
    )


def _delete(rows: QuerySet[Any], batch_size: int) -> int:
    """Delete these rows in batches. Returns how many."""
    deleted = 0
    while True:
        with transaction.atomic():
            found = rows.select_for_update(skip_locked=True).values_list("pk", flat=True)
            batch = list(found[:batch_size])
            rows.model._base_manager.filter(pk__in=batch).delete()
        deleted += len(batch)
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


@transaction.atomic
def _delete_tokens(ids: list[int]) -> int:
    """Delete those of these tokens that no session points at, and their blacklisting."""
    held = Session.objects.filter(current_id__in=ids).values_list("current_id", flat=True)
    free = set(ids).difference(held)
    _, per_model = OutstandingToken.objects.filter(pk__in=free).order_by().delete()
    return per_model.get(OutstandingToken._meta.label, 0)
