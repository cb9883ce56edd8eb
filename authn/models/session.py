"""Sessions: what a sign-in starts and every one of its tokens belongs to."""

from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts.models import User
from authn import remembered
from authn.mfa import policy
from fluxiq import ids
from fluxiq.audit import models as audit
from fluxiq.errors import Unauthorized
from fluxiq.principals import Grant, Kind, Principal
from fluxiq.scopes import permissions_of
from merchants.models import Membership


class SecondFactor(models.TextChoices):
    """The ways to prove a second factor."""

    TOTP = "totp", "one-time code"
    RECOVERY_CODE = "recovery_code", "recovery code"


class SessionQuerySet(models.QuerySet["Session"]):
    """Questions about sessions, and the one way to end many."""

    def live(self) -> Self:
        """Sessions whose tokens may work: not ended, not run out, of an active user."""
        return self.filter(
            ended_at__isnull=True, expires_at__gt=timezone.now(), user__is_active=True
        )

    def live_of(self, user_id: str, session_id: str) -> "Session | None":
        """The live session of which a token says this, with its user; None where there is none."""
        return self.live().select_related("user").filter(pk=session_id, user_id=user_id).first()

    def reauthenticate(self, user_id: str, session_id: str | None) -> "Session":
        """The session, locked until the transaction ends. Raises Unauthorized where it is over.

        Whatever ends a session locks its row, so it cannot end before the transaction does.
        """
        found = (
            self.live()
            .select_for_update(of=("self",), no_key=True)
            .select_related("user")
            .filter(pk=session_id, user_id=user_id)
            .first()
        )
        if found is None:
            raise Unauthorized
        return found

    def of(self, principal: Principal) -> Self:
        """The sessions of a user, each marked `current` where it is the one in use."""
        return self.filter(user_id=principal.id).annotate(
            current_session=models.Case(
                models.When(pk=principal.session_id, then=True),
                default=False,
                output_field=models.BooleanField(),
            )
        )

    @transaction.atomic
    def end(self, reason: str) -> int:
        """End these sessions for good and blacklist their refresh tokens. Returns how many."""
        ended = list(
            self.filter(ended_at__isnull=True).select_for_update(of=("self",)).order_by("pk")
        )
        if not ended:
            return 0
        Session.objects.filter(pk__in=[s.pk for s in ended]).update(
            ended_at=timezone.now(), ended_reason=reason
        )
        BlacklistedToken.objects.bulk_create(
            [BlacklistedToken(token_id=s.current_id) for s in ended if s.current_id],
            ignore_conflicts=True,
        )
        remembered.forget(*(remembered.session_name(s.user_id, s.id) for s in ended))
        for session in ended:
            audit.record(
                audit.Kind.SESSION_ENDED,
                object_id=session.id,
                after={"reason": reason, "user_id": session.user_id},
            )
        return len(ended)


class Session(models.Model):
    """A person signed in at one place, continued by refreshing, until it ends."""

    id = models.CharField(
        primary_key=True, max_length=ids.LENGTH, default=ids.new_session_id, editable=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sessions", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(editable=False)
    address = models.CharField(max_length=45, blank=True, editable=False)
    user_agent = models.CharField(max_length=300, blank=True, editable=False)
    # The one refresh token that continues the session: one truth for its id and its expiry.
    current = models.OneToOneField(
        OutstandingToken, on_delete=models.PROTECT, null=True, related_name="+", editable=False
    )
    # The token that `current` succeeded: it may be answered with the same successor again.
    retired_jti = models.CharField(max_length=32, blank=True, editable=False)
    rotated_at = models.DateTimeField(null=True, editable=False)
    # What was proved beside the password (RFC 8176 would say `otp`); empty where nothing was.
    second_factor = models.CharField(
        max_length=20, choices=SecondFactor, blank=True, default="", db_default="", editable=False
    )
    ended_at = models.DateTimeField(null=True, editable=False)
    ended_reason = models.CharField(max_length=100, blank=True, editable=False)

    objects = SessionQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["user", "-id"], name="session_by_user"),
            models.Index(fields=["expires_at"], name="session_by_expiry"),
            models.Index(fields=["address", "-id"], name="session_by_address"),
            models.Index(fields=["-id"], condition=Q(ended_at__isnull=False), name="session_ended"),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(expires_at__gt=models.F("created_at")),
                name="session_expires_after_creation",
            ),
        )

    def __str__(self) -> str:
        return f"{self.id} of {self.user_id}"

    @property
    def must_end_by(self) -> datetime:
        """When the session ends however often it is refreshed."""
        return self.created_at + timedelta(seconds=settings.SESSION_MAX_AGE)

    def principal(self) -> Principal:
        """What the user of this session may do where. One query, for the memberships.

        It depends on the user alone, not on the session: whoever has a second factor has proved it
        in every live session (`authn.mfa.factors`), and who has none holds nothing where one is
        required.
        """
        user: User = self.user
        memberships = (
            Membership.objects.in_force()
            .filter(user_id=user.id)
            .select_related("merchant")
            .order_by("id")
        )
        grants = tuple(
            Grant(
                m.merchant.id,
                m.merchant.name,
                m.role,
                () if policy.lacks_factor_at(user, m.merchant) else permissions_of(m.role),
                suspended=m.merchant.is_suspended,
            )
            for m in memberships
        )
        return Principal(
            Kind.USER,
            user.id,
            user.name,
            grants,
            is_superuser=user.is_superuser and not policy.superuser_lacks_factor(user),
            session_id=self.id,
        )
