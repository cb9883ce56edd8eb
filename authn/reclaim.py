"""Giving a document back to its holder, where somebody else registered it. Contract, section 3.

Whoever invites a document that is not theirs can accept it themselves, and is then its user. Once
FluxiQ's staff have identified the holder, everything ends that the other could sign in with.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db import transaction

from accounts.models import User
from authn import notices, passwords, recovery
from authn.models import MfaChallenge, RecoveryCode, Session, TotpFactor
from fluxiq.audit import models as audit
from fluxiq.errors import Conflict
from fluxiq.principals import PLATFORM
from merchants.models import Membership

SESSIONS_END = "document given back to its holder"


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """What was done. `reset_link` stands nowhere else; `memberships` are those that stay, of which
    the holder knows which are theirs; `memberships_ended` are the ids of those that ended."""

    reset_link: str
    sessions_ended: int
    invitations_ended: int
    memberships_ended: Sequence[str]
    memberships: Sequence[Membership]


@transaction.atomic
def reclaim(user: User, reason: str, *, ending: Collection[str] = ()) -> Reclaimed:
    """Give a user's document back: (what was done, with a password reset link for the holder).

    Under the lock of the user's row: every session ends, the console's too; the password, links
    that were made before, the second factor, its recovery codes, enrolments and sign-ins under way
    serve no more; invitations to the document end. The e-mail address goes, since links would be
    mailed there. Of the memberships those end whose ids are in `ending`. Raises Conflict for a
    user who is deactivated, and where a merchant would lose its last owner.
    """
    found = User.objects.lock(user.pk)
    if not found.is_active:
        raise Conflict("This user is deactivated. Reactivate them first: the link would not serve")
    # Before the sessions: who changes a merchant locks its row first, then sessions.
    ended = _end_memberships(found, ending)
    sessions_ended = Session.objects.live().filter(user=found).count()
    _remove_factors(found, reason)
    _remove_mailbox(found)
    passwords.withdraw(found, SESSIONS_END)
    invitations_ended = Membership.objects.end_invitations_to(found.document)
    audit.record(
        audit.Kind.USER_RECLAIMED,
        object_id=found.pk,
        after={"reason": reason, "memberships_ended": ended},
    )
    return Reclaimed(
        reset_link=recovery.hand_over_link(found),
        sessions_ended=sessions_ended,
        invitations_ended=invitations_ended,
        memberships_ended=ended,
        memberships=memberships_of(found),
    )


def memberships_of(user: User) -> Sequence[Membership]:
    """The user's memberships, newest first, with their merchants."""
    return list(Membership.objects.of_user(user.pk))


def _end_memberships(user: User, ending: Collection[str]) -> list[str]:
    chosen = [membership for membership in memberships_of(user) if membership.pk in ending]
    for membership in chosen:
        membership.end(PLATFORM)
    return [membership.pk for membership in chosen]


def _remove_factors(user: User, reason: str) -> None:
    """Confirmed ones and enrolments, codes and challenges."""
    for model in (TotpFactor, RecoveryCode, MfaChallenge):
        model._default_manager.filter(user=user).delete()
    if user.has_second_factor:
        user.mfa_enrolled_at = None
        user.save(update_fields=["mfa_enrolled_at"])
        audit.record(audit.Kind.MFA_RESET, object_id=user.pk, after={"reason": reason})


def _remove_mailbox(user: User) -> None:
    """Tell it a last thing."""
    former = user.email
    if not former:
        return
    notices.document_reclaimed(user)
    user.email = ""
    user.save(update_fields=["email"])
    audit.record(
        audit.Kind.USER_CHANGED, object_id=user.pk, before={"email": former}, after={"email": ""}
    )
