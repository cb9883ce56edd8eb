"""What the trail tells, done again after a restore: one function for each kind of event.

Where the trail says only that a secret was replaced, and cannot say by what, the old one is
withdrawn: nobody gets in by what was given up.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import Group
from django.db.models import Model
from django.utils import timezone

from accounts.models import User
from authn import passwords
from authn.mfa import factors
from authn.models import ApiKey
from fluxiq.audit import models as audit
from fluxiq.audit.models import Kind
from fluxiq.principals import Kind as PrincipalKind
from fluxiq.principals import Principal
from merchants.models import Membership, Merchant, PaymentAccount

REASON = "replayed after a restore"

# Judged when it happened: nobody's rights are asked for again.
_JUDGED = Principal(PrincipalKind.USER, "", "", is_superuser=True)

Event = Mapping[str, Any]


def _reason(event: Event) -> str:
    return str(event["after"].get("reason") or REASON)


def _revoke(api_key: ApiKey, event: Event) -> None:
    api_key.revoke(_reason(event))


def _end_with_grace(api_key: ApiKey, event: Event) -> None:
    """The successor is lost, and the key ends when it would have ended."""
    grace = timedelta(seconds=int(event["after"]["grace_seconds"]))
    end: datetime = event["at"] + grace
    if end <= timezone.now():
        api_key.revoke("rotated")
    elif api_key.is_live:
        api_key.change({"expires_at": min(end, api_key.expires_at or end)})


def _change_key(api_key: ApiKey, event: Event) -> None:
    changes = dict(event["after"])
    if changes.get("expires_at"):
        changes["expires_at"] = datetime.fromisoformat(changes["expires_at"])
    if api_key.is_live:
        api_key.change(changes)


def _deactivate(user: User, event: Event) -> None:
    user.deactivate(_reason(event))


def _reactivate(user: User, event: Event) -> None:
    user.reactivate()


def _withdraw_password(user: User, event: Event) -> None:
    passwords.withdraw(user, REASON)


def _withdraw_factor(user: User, event: Event) -> None:
    """The factor that was enrolled is lost. The one before it may be a thief's by now, and the
    password alone must not open what asked for more."""
    factors.reset(user, REASON)
    passwords.withdraw(user, REASON)


def _reset_factor(user: User, event: Event) -> None:
    factors.reset(user, _reason(event))


def _withdraw_recovery_codes(user: User, event: Event) -> None:
    factors.withdraw_recovery_codes(user, REASON)


def _change_user(user: User, event: Event) -> str | None:
    """Flags that were taken away, and the mailbox that links are sent to; the rest is told."""
    changes = event["after"]
    again: dict[str, Any] = {
        name: False for name in ("is_staff", "is_superuser") if changes.get(name) is False
    }
    if "email" in changes:
        again["email"] = changes["email"]
    before = {name: getattr(user, name) for name in again}
    for name, value in again.items():
        setattr(user, name, value)
    if again:
        user.save(update_fields=list(again))
        audit.record(Kind.USER_CHANGED, object_id=user.pk, before=before, after=again)
    left = sorted(set(changes) - set(again))
    return f"look at {', '.join(left)} on the user's page" if left else None


def _suspend(merchant: Merchant, event: Event) -> None:
    merchant.suspend()


def _resume(merchant: Merchant, event: Event) -> None:
    merchant.resume()


def _change_merchant(merchant: Merchant, event: Event) -> None:
    if event["after"].get("require_mfa"):
        merchant.set_require_mfa(True)


def _change_member(membership: Membership, event: Event) -> None:
    membership.change(_JUDGED, event["after"])


def _end_membership(membership: Membership, event: Event) -> None:
    membership.end(_JUDGED)


def _change_account(account: PaymentAccount, event: Event) -> None:
    account.change(event["after"])


def _change_group(group: Group, event: Event) -> str:
    return f"look at the permissions of the group {group.name}"


AGAIN: Mapping[Kind, tuple[type[Model], Callable[[Any, Event], str | None]]] = {
    Kind.API_KEY_REVOKED: (ApiKey, _revoke),
    Kind.API_KEY_ROTATED: (ApiKey, _end_with_grace),
    Kind.API_KEY_CHANGED: (ApiKey, _change_key),
    Kind.USER_DEACTIVATED: (User, _deactivate),
    Kind.USER_REACTIVATED: (User, _reactivate),
    Kind.USER_CHANGED: (User, _change_user),
    Kind.PASSWORD_CHANGED: (User, _withdraw_password),
    Kind.PASSWORD_RESET: (User, _withdraw_password),
    Kind.MFA_ENROLLED: (User, _withdraw_factor),
    Kind.MFA_REMOVED: (User, _reset_factor),
    Kind.MFA_RESET: (User, _reset_factor),
    Kind.RECOVERY_CODES_RENEWED: (User, _withdraw_recovery_codes),
    Kind.RECOVERY_CODE_USED: (User, _withdraw_recovery_codes),
    Kind.MERCHANT_SUSPENDED: (Merchant, _suspend),
    Kind.MERCHANT_RESUMED: (Merchant, _resume),
    Kind.MERCHANT_CHANGED: (Merchant, _change_merchant),
    Kind.MEMBER_CHANGED: (Membership, _change_member),
    Kind.MEMBER_REMOVED: (Membership, _end_membership),
    Kind.ACCOUNT_CHANGED: (PaymentAccount, _change_account),
    Kind.STAFF_ACTION: (Group, _change_group),
}
WITHDRAW_PASSWORD = frozenset({Kind.PASSWORD_CHANGED, Kind.PASSWORD_RESET, Kind.MFA_ENROLLED})
MAKES = frozenset(
    {
        Kind.USER_CREATED,
        Kind.MERCHANT_CREATED,
        Kind.MEMBER_INVITED,
        Kind.MEMBER_ADDED,
        Kind.ACCOUNT_OPENED,
        Kind.API_KEY_ISSUED,
        Kind.API_KEY_ROTATED,
    }
)
# Every session ends in any case; and what only tells of something changed nothing.
PASSES = frozenset(
    {
        Kind.SESSION_STARTED,
        Kind.SESSION_ENDED,
        Kind.SESSION_REUSE_DETECTED,
        Kind.USER_RECLAIMED,  # what ended with it are events of their own
        Kind.PASSWORD_RESET_MAILED,
        Kind.MFA_GUESSED,
        Kind.API_KEY_USED_PAST_END,
        Kind.API_KEY_USED_OUTSIDE_ALLOWED_IPS,
        Kind.STAFF_SIGNED_IN,
        Kind.SIGN_IN_FAILED,
        Kind.SIGN_IN_THROTTLED,
        Kind.PERMISSION_REFUSED,
        Kind.TRAIL_EXPORTED,
        Kind.TRAIL_PRUNED,
        Kind.TRAIL_REPLAYED,
    }
)
