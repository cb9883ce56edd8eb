"""What a second factor keeps: the authenticator app's secret, recovery codes, challenges."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from authn.mfa import recovery_codes, sealing, totp

ENROLMENT_LIFETIME = timedelta(minutes=30)  # to fetch the phone, install an app and scan
CHALLENGE_LIFETIME = timedelta(minutes=5)
_NEVER = 0  # the step of 1970, which every code is after


class TotpFactorQuerySet(models.QuerySet["TotpFactor"]):
    """Questions about authenticator apps."""

    def confirmed(self) -> Self:
        """Those that are asked for at sign-in."""
        return self.filter(confirmed_at__isnull=False)

    def pending(self) -> Self:
        """Those that wait for their first code, and may still be confirmed."""
        since = timezone.now() - ENROLMENT_LIFETIME
        return self.filter(confirmed_at__isnull=True, created_at__gt=since)

    def given_up(self) -> Self:
        """Those that nobody can confirm any more."""
        since = timezone.now() - ENROLMENT_LIFETIME
        return self.filter(confirmed_at__isnull=True, created_at__lte=since)

    def per_key(self) -> dict[str, int]:
        """How many of these are sealed under each key of the ring."""
        rows = self.values_list("key_id").annotate(count=models.Count("pk")).order_by()
        return dict(rows)


_TotpFactorManager = models.Manager.from_queryset(TotpFactorQuerySet)


class TotpFactorManager(_TotpFactorManager["TotpFactor"]):
    """Makes secrets for authenticator apps."""

    def propose(self, user: User) -> "tuple[TotpFactor, str]":
        """A new secret for the user, in place of one not confirmed yet: (the factor, the secret).

        The caller holds the lock on the user's row.
        """
        self.filter(user=user, confirmed_at__isnull=True).delete()
        secret, key = totp.new_secret(), sealing.sealing_keys()[0]
        factor: TotpFactor = self.create(
            user=user, key_id=key.id, sealed=key.seal(secret.encode(), user.pk)
        )
        return factor, secret


class TotpFactor(models.Model):
    """An authenticator app: confirmed by a code of it, and until then asked for nowhere."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key_id = models.CharField(max_length=32)
    sealed = models.BinaryField(max_length=100)
    created_at = models.DateTimeField(default=timezone.now)
    confirmed_at = models.DateTimeField(null=True)
    last_step = models.BigIntegerField(default=_NEVER)

    objects = TotpFactorManager()

    class Meta:
        verbose_name = "authenticator app"
        default_permissions = ()
        indexes = (
            models.Index(fields=["key_id"], name="totp_factor_by_key"),
            models.Index(
                fields=["created_at"],
                condition=Q(confirmed_at__isnull=True),
                name="totp_factor_pending",
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["user"],
                condition=Q(confirmed_at__isnull=False),
                name="totp_factor_confirmed_once",
            ),
            models.UniqueConstraint(
                fields=["user"],
                condition=Q(confirmed_at__isnull=True),
                name="totp_factor_pending_once",
            ),
        )

    def __str__(self) -> str:
        return f"authenticator app of {self.user_id}"

    def secret(self) -> str:
        """The secret that the app shares. Raises sealing.CannotOpen."""
        key = sealing.key_of(sealing.sealing_keys(), self.key_id)
        return key.open(bytes(self.sealed), self.user_id).decode()

    def claim(self, code: str) -> bool:
        """Whether the code is good, which it then is no more: one UPDATE admits each step once.

        Moves the secret to the ring's newest key. Raises sealing.CannotOpen.
        """
        secret = self.secret()
        step = totp.matching_step(secret, code, timezone.now())
        if step is None:
            return False
        later = TotpFactor.objects.filter(pk=self.pk, last_step__lt=step)
        if not later.update(last_step=step):
            return False
        self._move_to_newest_key(secret)
        return True

    def _move_to_newest_key(self, secret: str) -> None:
        newest = sealing.sealing_keys()[0]
        if self.key_id != newest.id:
            TotpFactor.objects.filter(pk=self.pk, key_id=self.key_id).update(
                key_id=newest.id, sealed=newest.seal(secret.encode(), self.user_id)
            )


class RecoveryCodeManager(models.Manager["RecoveryCode"]):
    """Makes codes and spends them. What is spent is gone."""

    def renew(self, user: User) -> Sequence[str]:
        """Fresh codes in place of the old ones; they stand nowhere else."""
        self.filter(user=user).delete()
        codes = recovery_codes.new()
        self.bulk_create(
            RecoveryCode(user=user, digest=recovery_codes.digest(user.pk, code)) for code in codes
        )
        return codes

    def spend(self, user: User, code: str) -> bool:
        """Whether the code is good, which it then is no more: one DELETE finds it once."""
        spent, _ = self.filter(user=user, digest=recovery_codes.digest(user.pk, code)).delete()
        return bool(spent)


class RecoveryCode(models.Model):
    """One code that serves once in the authenticator app's place; it is kept as a digest."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    digest = models.BinaryField(max_length=32, unique=True)

    objects = RecoveryCodeManager()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"recovery code of {self.user_id}"


class MfaChallengeManager(models.Manager["MfaChallenge"]):
    """Makes challenges, and finds the one that a secret opens."""

    def issue(self, user: User) -> str:
        """A challenge for a user whose password was proved. It stands nowhere else."""
        challenge = "mfa_" + secrets.token_urlsafe(32)  # 256 bits
        self.create(
            digest=_digest(challenge),
            user=user,
            password_mark=user.get_session_auth_hash(),
            expires_at=timezone.now() + CHALLENGE_LIFETIME,
        )
        return challenge

    def opened_by(self, challenge: str) -> "MfaChallenge | None":
        """The challenge, if it is not spent and not over."""
        unspent = self.filter(digest=_digest(challenge), expires_at__gt=timezone.now())
        return unspent.select_related("user").first()


class MfaChallenge(models.Model):
    """A sign-in that wants its second factor: single use, five minutes, good for nothing else."""

    digest = models.BinaryField(max_length=32, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    # The user's session auth hash when the password was proved. Another password, or the end of all
    # their sessions (as by a deactivation, or another second factor), makes it another.
    password_mark = models.CharField(max_length=64)
    expires_at = models.DateTimeField(db_index=True)

    objects = MfaChallengeManager()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"challenge of {self.user_id}"

    def is_of(self, user: User) -> bool:
        """Whether it is still good for the user as they are now."""
        return user.is_active and user.has_password_mark(self.password_mark)

    def spend(self) -> bool:
        """End it. False where it is spent already: one DELETE finds it once."""
        spent, _ = MfaChallenge.objects.filter(pk=self.pk).delete()
        return bool(spent)


def _digest(challenge: str) -> bytes:
    return hashlib.sha256(challenge.encode()).digest()
