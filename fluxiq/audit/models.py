"""The trail of what happened: append-only events, and how one is written."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from django.db import models
from django.utils import timezone

from fluxiq import ids, origin
from fluxiq.audit.appendonly import AppendOnlyError, AppendOnlyModel, AppendOnlyQuerySet
from fluxiq.audit.seals import Checkpoint, PendingEvent, Prune, Seal, Tally, TallyHour

__all__ = [
    "AppendOnlyError",
    "AuditEvent",
    "Checkpoint",
    "Kind",
    "PendingEvent",
    "Prune",
    "Seal",
    "Tally",
    "TallyHour",
    "record",
]

# An event's id tells the moment of the event, which is its `at`, by as much as this.
_ID_TOLERANCE = 1000  # milliseconds


class Kind(StrEnum):
    """What can happen, as `object.event`."""

    SESSION_STARTED = "session.started"
    SESSION_ENDED = "session.ended"
    SESSION_REUSE_DETECTED = "session.reuse_detected"
    USER_CREATED = "user.created"
    USER_CHANGED = "user.changed"
    USER_DEACTIVATED = "user.deactivated"
    USER_REACTIVATED = "user.reactivated"
    USER_RECLAIMED = "user.reclaimed"
    PASSWORD_CHANGED = "user.password_changed"  # noqa: S105 - the name of an event
    PASSWORD_RESET = "user.password_reset"  # noqa: S105 - the name of an event
    PASSWORD_RESET_MAILED = "user.password_reset_mailed"  # noqa: S105 - the name of an event
    MFA_ENROLLED = "user.mfa_enrolled"
    MFA_REMOVED = "user.mfa_removed"
    MFA_RESET = "user.mfa_reset"
    RECOVERY_CODES_RENEWED = "user.recovery_codes_renewed"
    RECOVERY_CODE_USED = "user.recovery_code_used"
    MFA_GUESSED = "user.mfa_guessed"
    MERCHANT_CREATED = "merchant.created"
    MERCHANT_CHANGED = "merchant.changed"
    MERCHANT_SUSPENDED = "merchant.suspended"
    MERCHANT_RESUMED = "merchant.resumed"
    MEMBER_INVITED = "membership.invited"
    MEMBER_ADDED = "membership.added"
    MEMBER_CHANGED = "membership.changed"
    MEMBER_REMOVED = "membership.removed"
    ACCOUNT_OPENED = "account.opened"
    ACCOUNT_CHANGED = "account.changed"
    API_KEY_ISSUED = "api_key.issued"
    API_KEY_CHANGED = "api_key.changed"
    API_KEY_ROTATED = "api_key.rotated"
    API_KEY_REVOKED = "api_key.revoked"
    API_KEY_USED_PAST_END = "api_key.used_past_end"
    API_KEY_USED_OUTSIDE_ALLOWED_IPS = "api_key.used_outside_allowed_ips"
    STAFF_SIGNED_IN = "staff.signed_in"
    STAFF_ACTION = "staff.action"
    # Of many in a minute, one event, with their count.
    SIGN_IN_FAILED = "sign_in.failed"
    SIGN_IN_THROTTLED = "sign_in.throttled"
    PERMISSION_REFUSED = "permission.refused"
    TRAIL_EXPORTED = "trail.exported"
    TRAIL_PRUNED = "trail.pruned"
    TRAIL_REPLAYED = "trail.replayed"


def kinds() -> list[tuple[str, str]]:
    """The choices of a kind. (A callable: a new kind needs no migration.)"""
    return [(str(kind), str(kind)) for kind in Kind]


class AuditEventQuerySet(AppendOnlyQuerySet["AuditEvent"]):
    """Questions about events."""

    def since(self, moment: datetime) -> Self:
        """Events of that moment and later. By the id, which the indexes end with, and exactly."""
        first = ids.first_at(ids.Prefix.EVENT, moment, -_ID_TOLERANCE)
        return self.filter(pk__gte=first, at__gte=moment)

    def until(self, moment: datetime) -> Self:
        """Events before that moment."""
        first = ids.first_at(ids.Prefix.EVENT, moment, _ID_TOLERANCE)
        return self.filter(pk__lt=first, at__lt=moment)


class AuditEvent(AppendOnlyModel):
    """One thing that happened: who, what, where, and the state before and after."""

    id = models.CharField(
        primary_key=True, max_length=ids.LENGTH, default=ids.new_event_id, editable=False
    )
    kind = models.CharField(max_length=40, choices=kinds)
    at = models.DateTimeField(default=timezone.now)
    actor_kind = models.CharField(max_length=10)
    actor_id = models.CharField(max_length=64, blank=True)
    # Identifiers, not foreign keys: the trail outlives what it speaks of.
    merchant_id = models.CharField(max_length=ids.LENGTH, blank=True)
    object_id = models.CharField(max_length=ids.LENGTH, blank=True)
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    before = models.JSONField(default=dict, blank=True)
    after = models.JSONField(default=dict, blank=True)

    objects = AuditEventQuerySet.as_manager()

    class Meta(AppendOnlyModel.Meta):
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["merchant_id", "-id"], name="audit_by_merchant"),
            models.Index(fields=["merchant_id", "kind", "-id"], name="audit_by_merchant_and_kind"),
            models.Index(fields=["object_id", "-id"], name="audit_by_object"),
            models.Index(fields=["kind", "-id"], name="audit_by_kind"),
            models.Index(fields=["actor_id", "-id"], name="audit_by_actor"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id} at {self.at:%Y-%m-%d %H:%M:%S}"


def record(
    kind: Kind,
    *,
    object_id: str,
    merchant_id: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    actor: tuple[str, str] | None = None,
    at: datetime | None = None,
) -> AuditEvent:
    """Write one event, in the transaction of the change that it tells of.

    `before` and `after` hold the changed fields alone, JSON-serialisable and free of secrets.
    The actor and the place come from `fluxiq.origin`; `actor` (kind, id) names one that the
    event itself establishes, such as the user of a sign-in. `at` is now unless it is given.
    """
    source = origin.current()
    actor_kind, actor_id = actor or (source.actor_kind, source.actor_id)
    moment = at or timezone.now()
    return AuditEvent.objects.create(
        id=ids.new(ids.Prefix.EVENT, moment),
        kind=kind,
        at=moment,
        actor_kind=actor_kind,
        actor_id=actor_id,
        merchant_id=merchant_id,
        object_id=object_id,
        address=source.address,
        user_agent=source.user_agent,
        request_id=source.request_id,
        before=dict(before or {}),
        after=dict(after or {}),
    )
