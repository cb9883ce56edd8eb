"""After a restore: what exports of the trail say was done since the backup is done again.

A backup brings back what was taken away after it was made: keys that were revoked, passwords and
second factors that were replaced, people who were shut out. The exports of the trail, which are
kept elsewhere, know it. So a replay ends every session (refreshing is not in the trail, and a
spent refresh token would be good again), and does again what the exported events did that the
database does not hold. What the backup does not know cannot be brought back, and what cannot be
done again alone is left to a person; both are told.

Where the trail says only that a secret was replaced, and cannot say by what, the old one is
withdrawn: nobody gets in by what was given up.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from accounts.models import User
from authn import passwords, sessions
from authn.mfa import factors
from authn.models import ApiKey
from fluxiq.audit import exported
from fluxiq.audit import models as audit
from fluxiq.audit.chain import Link, Start
from fluxiq.audit.models import AuditEvent, Kind, Seal
from fluxiq.audit.verification import Head
from fluxiq.errors import Conflict
from fluxiq.principals import Kind as PrincipalKind
from fluxiq.principals import Principal
from merchants.models import Membership, Merchant, PaymentAccount

REASON = "replayed after a restore"
CHUNK = 500  # events that the database is asked for at once

# Judged when it happened: nobody's rights are asked for again.
_JUDGED = Principal(PrincipalKind.USER, "", "", is_superuser=True)

Event = Mapping[str, Any]


@dataclass
class Replayed:
    """What came of a replay.

    `lost` are the ids of what was made after the backup, by the kind of the event;
    `passwords_withdrawn` the users who need a reset; `by_hand` what is left to a person.
    """

    events: int = 0
    done_again: int = 0
    sessions_ended: int = 0
    console_sessions_ended: int = 0
    passwords_withdrawn: list[str] = field(default_factory=list)
    lost: dict[str, list[str]] = field(default_factory=dict)
    by_hand: list[dict[str, str]] = field(default_factory=list)


def replay(paths: Sequence[Path]) -> Replayed:
    """Do again what these exports, in their order, tell and the database does not hold.

    Whole files alone are believed. What was replayed once is not replayed again. Raises Conflict
    where an export is not whole or does not reach back to the backup, UnreadableExport, OSError
    and rings.InvalidRing.
    """
    head = _verified(paths)
    result = Replayed()
    result.sessions_ended, result.console_sessions_ended = sessions.end_everybodys(REASON)
    for link in _unknown(paths):
        result.events += 1
        _replay_one(link.event or {}, result)
    audit.record(
        Kind.TRAIL_REPLAYED,
        object_id="",
        after={"position": head.position, "digest": head.digest, "events": result.events},
    )
    return result


def _verified(paths: Sequence[Path]) -> Head:
    report = None
    for path in paths:
        with path.open(encoding="ascii") as file:
            report = exported.verify(file, report)
    if report is None:
        raise Conflict("No export was named")
    if report.fault_count:
        fault = report.faults[0]
        raise Conflict(f"The exports are not whole: position {fault.position}: {fault.what}")
    with paths[0].open(encoding="ascii") as file:
        start, _ = exported.links(file)
    if not _reaches_back(start):
        raise Conflict(
            f"The exports begin at position {start.position}, after the end of the backup: name"
            " those before them too"
        )
    return report.head


def _reaches_back(start: Start) -> bool:
    """Whether nothing lies between the backup's end and what the exports begin with."""
    before = Seal.objects.filter(pk=start.position - 1).first()
    return start.position == 1 or (before is not None and bytes(before.digest) == start.before)


def _unknown(paths: Sequence[Path]) -> Iterator[Link]:
    """The links whose events the database does not hold, and that were not replayed before."""
    replayed = AuditEvent.objects.filter(kind=Kind.TRAIL_REPLAYED).values_list("after", flat=True)
    ends = {(int(after["position"]), str(after["digest"])) for after in replayed}
    known = [link.position for link in _links(paths) if (link.position, link.digest.hex()) in ends]
    begin = max(known, default=0)
    links = (link for link in _links(paths) if link.position > begin)
    while chunk := list(islice(links, CHUNK)):
        held = AuditEvent.objects.filter(pk__in=[link.event_id for link in chunk])
        there = set(held.values_list("pk", flat=True))
        yield from (link for link in chunk if link.event_id not in there)


def _links(paths: Sequence[Path]) -> Iterator[Link]:
    for path in paths:
        with path.open(encoding="ascii") as file:
            yield from exported.links(file)[1]


def _replay_one(event: Event, result: Replayed) -> None:
    """One event, in a transaction of its own."""
    kind, object_id = Kind(event["kind"]), str(event["object_id"])
    if kind in MAKES:
        made = event["after"].get("successor", object_id)
        result.lost.setdefault(str(kind), []).append(str(made))
    if kind not in AGAIN:
        return
    model, do = AGAIN[kind]
    try:
        with transaction.atomic():
            found = _found(model, object_id)
            if found is None:  # made after the backup, or ended since: nothing to take away
                return
            left = do(found, event)
    except Conflict as error:
        left = error.message
    else:
        result.done_again += 1
        if kind in WITHDRAW_PASSWORD and object_id not in result.passwords_withdrawn:
            result.passwords_withdrawn.append(object_id)
    if left is not None:
        told = {"event_id": event["id"], "kind": str(kind), "object_id": object_id, "why": left}
        result.by_hand.append(told)


def _found(model: type[Model], object_id: str) -> Model | None:
    if model is Group:  # as the console names one in the trail, beside other things
        prefix, _, number = object_id.partition("_")
        return Group.objects.filter(pk=number).first() if prefix == "group" else None
    return model._default_manager.filter(pk=object_id).first()


def _reason(event: Event) -> str:
    return str(event["after"].get("reason") or REASON)


# API keys


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


# People


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


# Merchants


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
        Kind.MFA_GUESSED,
        Kind.API_KEY_USED_PAST_END,
        Kind.STAFF_SIGNED_IN,
        Kind.SIGN_IN_FAILED,
        Kind.SIGN_IN_THROTTLED,
        Kind.PERMISSION_REFUSED,
        Kind.TRAIL_EXPORTED,
        Kind.TRAIL_PRUNED,
        Kind.TRAIL_REPLAYED,
    }
)
