"""The trail of what happened: append-only events."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NoReturn

from django.db import models
from django.utils import timezone

from fluxiq import ids, origin


class Kind(StrEnum):
    """What can happen, as `object.event`."""

    SESSION_STARTED = "session.started"
    SESSION_ENDED = "session.ended"
    SESSION_REUSE_DETECTED = "session.reuse_detected"
    USER_CREATED = "user.created"
    USER_CHANGED = "user.changed"
    USER_DEACTIVATED = "user.deactivated"
    USER_REACTIVATED = "user.reactivated"
    PASSWORD_CHANGED = "user.password_changed"  # noqa: S105 - the name of an event
    PASSWORD_RESET = "user.password_reset"  # noqa: S105 - the name of an event
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
    STAFF_SIGNED_IN = "staff.signed_in"
    STAFF_ACTION = "staff.action"


class AppendOnlyError(TypeError):
    """An attempt to change or remove an audit event."""


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    """Refuses what would rewrite history; the rows are for reading and adding."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError("audit events cannot be changed")

    def delete(self) -> NoReturn:
        raise AppendOnlyError("audit events cannot be removed")

    def bulk_create(
        self, objs: Any, batch_size: int | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Add many. Raises AppendOnlyError for options, which would let conflicts pass."""
        if args or kwargs:
            raise AppendOnlyError("audit events can only be added")
        return super().bulk_create(objs, batch_size)


class AuditEvent(models.Model):
    """One thing that happened: who, what, where, and the state before and after."""

    id = models.CharField(
        primary_key=True, max_length=ids.LENGTH, default=ids.new_event_id, editable=False
    )
    kind = models.CharField(max_length=40, choices=[(k, k) for k in Kind])
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

    class Meta:
        base_manager_name = "objects"
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["merchant_id", "-id"], name="audit_by_merchant"),
            models.Index(fields=["object_id", "-id"], name="audit_by_object"),
            models.Index(fields=["kind", "-id"], name="audit_by_kind"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id} at {self.at:%Y-%m-%d %H:%M:%S}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Add the event. Raises AppendOnlyError for one that was read from the table, and
        IntegrityError for one whose id stands there already."""
        if not self._state.adding:
            raise AppendOnlyError("audit events cannot be changed")
        super().save(force_insert=True, using=kwargs.get("using"))

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError("audit events cannot be removed")


def record(
    kind: Kind,
    *,
    object_id: str,
    merchant_id: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    actor: tuple[str, str] | None = None,
) -> AuditEvent:
    """Write one event, in the transaction of the change that it tells of.

    `before` and `after` hold the changed fields alone, JSON-serialisable and free of secrets.
    The actor and the place come from `fluxiq.origin`; `actor` (kind, id) names one that the
    event itself establishes, such as the user of a sign-in.
    """
    source = origin.current()
    actor_kind, actor_id = actor or (source.actor_kind, source.actor_id)
    return AuditEvent.objects.create(
        kind=kind,
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
