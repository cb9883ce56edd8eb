"""API keys: what is asked about them, how one is issued, and which one a secret opens."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from authn import keys, notices
from authn.peppers import peppers
from fluxiq.audit import models as audit
from fluxiq.errors import Unauthorized
from fluxiq.principals import Principal
from fluxiq.scopes import ServiceScope
from merchants.models import Merchant

if TYPE_CHECKING:
    from authn.models.api_key import ApiKey

IDLE = timedelta(days=90)
SOON = timedelta(days=30)
REVOKE_BATCH = 500  # keys that are read at once, where many are revoked


class KeyState(StrEnum):
    """What has become of a key: it is in one of these."""

    LIVE = "live"
    IN_GRACE = "in grace"
    EXPIRED = "expired"
    REVOKED = "revoked"


def in_state(state: KeyState) -> Q:
    """The condition of keys in this state now; of one key, `ApiKey.state` tells."""
    now = timezone.now()
    has_time = Q(expires_at__isnull=True) | Q(expires_at__gt=now)
    return {
        KeyState.LIVE: Q(revoked_at__isnull=True) & has_time,
        KeyState.IN_GRACE: Q(revoked_at__gt=now) & has_time,
        KeyState.EXPIRED: Q(expires_at__lte=now)
        & (Q(revoked_at__isnull=True) | Q(revoked_at__gt=now)),
        KeyState.REVOKED: Q(revoked_at__lte=now),
    }[state]


def printable(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a key as the trail keeps them."""
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in values.items()}


class KeyRefused(Unauthorized):
    """The secret is that of a key, which has ended, or does not serve here or now."""

    def __init__(self, api_key_id: str, tallied_at: int | None = None) -> None:
        super().__init__()
        self.api_key_id = api_key_id
        self.tallied_at = tallied_at  # microseconds of Unix time; None where no use was tallied yet


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Questions about API keys."""

    def live(self) -> Self:
        """Keys that verify: not revoked, not expired."""
        now = timezone.now()
        return self.filter(
            Q(revoked_at__isnull=True) | Q(revoked_at__gt=now),
            Q(expires_at__isnull=True) | Q(expires_at__gt=now),
        )

    def at_merchants_of(self, principal: Principal) -> Self:
        """Keys that exist for the principal at all."""
        if principal.is_superuser:
            return self.filter(merchant__isnull=False)
        return self.filter(merchant_id__in=[g.merchant_id for g in principal.grants])

    def lasting(self) -> Self:
        """Live keys that nothing ends yet, be it in a grace."""
        return self.filter(in_state(KeyState.LIVE))

    def never_used(self) -> Self:
        """Lasting keys that were never used."""
        return self.lasting().filter(last_used_at__isnull=True)

    def idle(self) -> Self:
        """Lasting keys that nobody used for long."""
        return self.lasting().filter(last_used_at__lt=timezone.now() - IDLE)

    def expiring(self) -> Self:
        """Lasting keys that expire soon."""
        return self.lasting().filter(expires_at__lte=timezone.now() + SOON)

    def on_old_pepper(self) -> Self:
        """Lasting keys that were not used since there is a newer pepper."""
        newest = peppers()[0].id
        return self.lasting().filter(Q(pepper_id__lt=newest) | Q(pepper_id__gt=newest))

    def per_pepper(self) -> dict[str, int]:
        """How many of these keys stand under each pepper id."""
        rows = self.values_list("pepper_id").annotate(count=models.Count("pk")).order_by()
        return dict(rows)

    def revoke(self, reason: str) -> int:
        """End each of these keys that is live, in a transaction of its own. Returns how many."""
        revoked, last = 0, ""
        while batch := list(self.live().filter(pk__gt=last).order_by("pk")[:REVOKE_BATCH]):
            revoked += sum(api_key.revoke(reason) for api_key in batch)
            last = batch[-1].pk
        return revoked


_ApiKeyManager = models.Manager.from_queryset(ApiKeyQuerySet)


class ApiKeyManager(_ApiKeyManager["ApiKey"]):
    """Issues keys and finds the one that a secret opens."""

    @transaction.atomic
    def issue(
        self,
        merchant: Merchant | None,
        *,
        name: str,
        permissions: Sequence[str],
        created_by: User | None = None,
        expires_at: datetime | None = None,
        allowed_ips: Sequence[str] = (),
        rate_limit: int | None = None,
    ) -> "tuple[ApiKey, str]":
        """Make a key: (the key, its secret). The secret stands nowhere else and is gone after.

        A key of no merchant is a service key. What may be granted is judged by the caller
        (`forbid_granting_beyond`), since staff and commands hold more than any merchant.
        """
        restrictions = {
            "expires_at": expires_at,
            "allowed_ips": list(allowed_ips),
            "rate_limit": rate_limit,
        }
        api_key, secret = self._mint(
            merchant=merchant,
            name=name,
            permissions=list(permissions),
            created_by=created_by,
            **restrictions,
        )
        audit.record(
            audit.Kind.API_KEY_ISSUED,
            object_id=api_key.id,
            merchant_id=api_key.merchant_id or "",
            after={
                "name": name,
                "permissions": api_key.permissions,
                "hint": api_key.hint,
                **printable({k: v for k, v in restrictions.items() if v}),
            },
        )
        notices.api_key_issued(api_key)
        return api_key, secret

    def issue_service_key(self, **fields: Any) -> "tuple[ApiKey, str]":
        """Make a key of no merchant, with which a FluxiQ service asks about others' tokens.

        Takes and returns what `issue` does, but for merchant and permissions.
        """
        return self.issue(None, permissions=[ServiceScope.TOKENS_INTROSPECT], **fields)

    def _mint(self, **fields: Any) -> "tuple[ApiKey, str]":
        secret = keys.generate(settings.FLUXIQ_ENVIRONMENT)
        pepper = peppers()[0]
        api_key: ApiKey = self.create(
            digest=pepper.digest(secret),
            pepper_id=pepper.id,
            hint=keys.hint(secret),
            **fields,
        )
        return api_key, secret

    def opened_by(self, secret: str) -> "ApiKey | None":
        """The key that this secret opens, under whichever pepper, dead or alive; else None.

        One indexed query, and none where the secret is not well formed.
        """
        if not keys.is_well_formed(secret, settings.FLUXIQ_ENVIRONMENT):
            return None
        digests = [pepper.digest(secret) for pepper in peppers()]
        # Not `first()`: an order and a limit over one row cost the planner more than the row.
        found = self.filter(digest__in=digests).select_related("merchant").order_by()
        return next(iter(found), None)

    def verify(self, secret: str, address: str) -> "ApiKey | None":
        """The live key that this secret opens for a caller at this address; None for no key.

        Raises KeyRefused for a key that exists and does not serve.
        """
        api_key = self.opened_by(secret)
        if api_key is None:
            return None
        if not api_key.is_live:
            api_key.audit_use_past_end()
        elif not api_key.admits(address):
            api_key.audit_use_outside_allowed_ips()
        if not api_key.serves(address):
            raise KeyRefused(api_key.id)
        api_key.move_to_newest_pepper(secret)
        return api_key

    def reauthenticate(self, principal: Principal, address: str) -> Principal:
        """What the key may do now, its row locked until the transaction ends.

        Raises KeyRefused where it no longer serves a caller at this address.
        """
        locked = self.select_for_update(of=("self",), no_key=True).select_related("merchant")
        api_key = locked.filter(pk=principal.id).first()
        if api_key is None or not api_key.serves(address):
            raise KeyRefused(principal.id)
        return api_key.principal()

    def note_use(self, api_key_id: str, at: datetime, address: str) -> bool:
        """Note when and whence a key was last used: False where that was earlier than is known.

        Touches those columns alone, so that it can never undo a concurrent revocation.
        """
        is_later = Q(last_used_at__isnull=True) | Q(last_used_at__lt=at)
        noted = self.filter(is_later, pk=api_key_id).update(
            last_used_at=at, last_used_address=address
        )
        return bool(noted)
