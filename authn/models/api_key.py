"""API keys: a merchant's credential, or a FluxiQ service's. The secret is never stored."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from authn import notices, remembered
from authn.models.api_key_queries import ApiKeyManager, KeyState, printable
from authn.models.hourly import is_first_of_hour
from authn.peppers import peppers
from fluxiq import ids
from fluxiq.addresses import is_within, parse_address, parse_networks
from fluxiq.audit import models as audit
from fluxiq.errors import Conflict
from fluxiq.names import NameField
from fluxiq.principals import Grant, Kind, Principal
from fluxiq.scopes import Scope
from merchants.models import Merchant

MAX_GRACE = timedelta(days=7)
LATEST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # the last second that a date can name


class ApiKey(models.Model):
    """A credential for servers, with permissions of its own, acting for its merchant alone."""

    id = models.CharField(
        primary_key=True, max_length=ids.LENGTH, default=ids.new_api_key_id, editable=False
    )
    merchant = models.ForeignKey(
        Merchant,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="api_keys",
        db_index=False,
        help_text="None for a service key.",
    )
    name = NameField()
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    pepper_id = models.CharField(max_length=32, editable=False)
    hint = models.CharField(max_length=16, editable=False)
    permissions = models.JSONField(default=list)
    allowed_ips = models.JSONField(default=list, blank=True)
    rate_limit = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_address = models.CharField(max_length=45, blank=True, editable=False)
    # In the future while a rotated key is in its grace.
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_reason = models.CharField(max_length=200, blank=True, editable=False)
    rotated_from = models.OneToOneField(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="successor",
        editable=False,
    )

    # Of the call that made this key as a successor, where it named itself (Idempotency-Key).
    rotation_call = models.BinaryField(max_length=32, null=True, editable=False)

    objects = ApiKeyManager()

    GRANTABLE: ClassVar[tuple[str, ...]] = tuple(str(s) for s in Scope)

    class Meta:
        ordering = ("-id",)
        verbose_name = "API key"
        verbose_name_plural = "API keys"
        indexes = (
            models.Index(fields=["merchant", "-id"], name="api_key_by_merchant"),
            models.Index(fields=["pepper_id"], name="api_key_by_pepper"),
            # What the staff console lists. Of the use of a key, at most once a minute is written.
            models.Index(fields=["hint"], name="api_key_by_hint"),
            models.Index(
                fields=["last_used_at"],
                condition=Q(revoked_at__isnull=True),
                name="api_key_by_last_use",
            ),
            models.Index(
                fields=["id"],
                condition=Q(last_used_at__isnull=True, revoked_at__isnull=True),
                name="api_key_never_used",
            ),
            models.Index(
                fields=["expires_at"],
                condition=Q(expires_at__isnull=False),
                name="api_key_by_expiry",
            ),
            models.Index(
                fields=["revoked_at"],
                condition=Q(revoked_at__isnull=False),
                name="api_key_by_revocation",
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(rate_limit__isnull=True) | Q(rate_limit__gte=1),
                name="api_key_rate_limit_is_positive",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__isnull=True) | Q(expires_at__gt=models.F("created_at")),
                name="api_key_expires_after_creation",
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.hint})"

    @property
    def state(self) -> KeyState:
        """What has become of the key by now."""
        now = timezone.now()
        if self.revoked_at is not None and self.revoked_at <= now:
            return KeyState.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return KeyState.EXPIRED
        return KeyState.LIVE if self.revoked_at is None else KeyState.IN_GRACE

    @property
    def is_live(self) -> bool:
        """Whether the key verifies now: not revoked, not expired."""
        now = timezone.now()
        return not any(end is not None and end <= now for end in (self.revoked_at, self.expires_at))

    @property
    def is_service(self) -> bool:
        """Whether this is a service key."""
        return self.merchant_id is None

    @property
    def rotated_to_id(self) -> str | None:
        """The id of the key that succeeds this one, or None."""
        successor: ApiKey | None = getattr(self, "successor", None)
        return successor.id if successor is not None else None

    def admits(self, address: str) -> bool:
        """Whether the key may be used from there; an address nobody knows is in no list."""
        if not self.allowed_ips:
            return True
        return is_within(parse_address(address), parse_networks(self.allowed_ips))

    def serves(self, address: str) -> bool:
        """Whether the key verifies now for a caller at this address."""
        is_suspended = self.merchant is not None and self.merchant.is_suspended
        return self.is_live and self.admits(address) and not is_suspended

    def principal(self) -> Principal:
        """What the key may do where."""
        grants: tuple[Grant, ...] = ()
        held = tuple(self.permissions)
        if self.merchant is not None:
            grants = (Grant(self.merchant.id, self.merchant.name, None, held),)
        return Principal(
            Kind.API_KEY,
            self.id,
            self.name,
            grants,
            rate_limit=self.rate_limit,
            service_permissions=() if grants else held,
        )

    @property
    def ends_at(self) -> datetime | None:
        """When the key ends, as far as that is known now: by expiry, or by its grace."""
        return min((end for end in (self.revoked_at, self.expires_at) if end), default=None)

    def _record(self, kind: audit.Kind, **about: Any) -> None:
        audit.record(kind, object_id=self.id, merchant_id=self.merchant_id or "", **about)

    def _forget(self) -> None:
        """Invalidate this key's cache entry on commit."""
        remembered.forget(remembered.key_name(self.pk))

    def move_to_newest_pepper(self, secret: str) -> None:
        """Keep the key's digest under the newest pepper. Touches those columns alone."""
        newest = peppers()[0]
        if self.pepper_id != newest.id:
            ApiKey.objects.filter(pk=self.pk, pepper_id=self.pepper_id).update(
                pepper_id=newest.id, digest=newest.digest(secret)
            )

    def audit_use_past_end(self) -> None:
        """Record that a key was used though it had ended: once an hour, not to flood the trail.

        Raises ServiceUnavailable where this machine cannot count.
        """
        after = {"expires_at": self.expires_at, "revoked_at": self.revoked_at}
        self._audit_once_an_hour(audit.Kind.API_KEY_USED_PAST_END, after)

    def audit_use_outside_allowed_ips(self) -> None:
        """Record that a live key was used from an address outside `allowed_ips`: once an hour.

        Raises ServiceUnavailable where this machine cannot count.
        """
        after = {"allowed_ips": self.allowed_ips}
        self._audit_once_an_hour(audit.Kind.API_KEY_USED_OUTSIDE_ALLOWED_IPS, after)

    def _audit_once_an_hour(self, kind: audit.Kind, after: Mapping[str, Any]) -> None:
        if is_first_of_hour(f"{kind}:{self.id}"):
            self._record(kind, after=printable(after), actor=(Kind.API_KEY, self.id))

    @transaction.atomic
    def revoke(self, reason: str = "") -> bool:
        """End the key at once. False, and nothing changed, where it had ended already."""
        now = timezone.now()
        in_force = Q(revoked_at__isnull=True) | Q(revoked_at__gt=now)
        revoked = ApiKey.objects.filter(in_force, pk=self.pk).update(
            revoked_at=now, revoked_reason=reason
        )
        if not revoked:
            return False
        self._forget()
        self.revoked_at, self.revoked_reason = now, reason
        self._record(audit.Kind.API_KEY_REVOKED, after={"reason": reason})
        return True

    @transaction.atomic
    def change(self, changes: Mapping[str, Any]) -> None:
        """Change name, permissions, expires_at or allowed_ips. Raises Conflict for a dead key."""
        current = ApiKey.objects.select_for_update(of=("self",)).get(pk=self.pk)
        if not current.is_live:
            raise Conflict("This key is no longer in force and cannot be changed")
        before = {k: getattr(current, k) for k, v in changes.items() if getattr(current, k) != v}
        if before:
            after = {k: changes[k] for k in before}
            ApiKey.objects.filter(pk=self.pk).update(**after)
            self._forget()
            self._record(
                audit.Kind.API_KEY_CHANGED,
                before=printable(before),
                after=printable(after),
            )
        self.refresh_from_db()

    @transaction.atomic
    def rotate(
        self, grace: timedelta, created_by: User | None = None, idempotency_key: str = ""
    ) -> "tuple[ApiKey, str | None]":
        """Make a successor: (the key, its secret). This key goes on for `grace`, then is dead.

        A call that names itself by `idempotency_key` and is repeated gets the same successor,
        and None: the secret was shown once. Raises Conflict for a key that is dead or has a
        successor already.
        """
        current = ApiKey.objects.select_for_update(of=("self",)).get(pk=self.pk)
        call = sha256(idempotency_key.encode()).digest() if idempotency_key else None
        made: ApiKey | None = getattr(current, "successor", None)
        if made is not None and call is not None and bytes(made.rotation_call or b"") == call:
            return made, None
        if not current.is_live or current.rotated_to_id is not None:
            raise Conflict("This key is no longer in force or was rotated already")
        now = timezone.now()
        expires_at = None
        if current.expires_at is not None:
            lifetime = current.expires_at - current.created_at
            expires_at = now + min(lifetime, LATEST - now)
        successor, secret = ApiKey.objects._mint(
            merchant=current.merchant,
            name=current.name,
            permissions=current.permissions,
            allowed_ips=current.allowed_ips,
            rate_limit=current.rate_limit,
            expires_at=expires_at,
            created_by=created_by,
            created_at=now,
            rotated_from=current,
            rotation_call=call,
        )
        ApiKey.objects.filter(pk=self.pk).update(revoked_at=now + grace, revoked_reason="rotated")
        self._forget()
        self._record(
            audit.Kind.API_KEY_ROTATED,
            after={"successor": successor.id, "grace_seconds": int(grace.total_seconds())},
        )
        notices.api_key_issued(successor)
        self.refresh_from_db()
        return successor, secret
