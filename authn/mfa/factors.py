"""The rules of a second factor: enrol, confirm, prove, renew, remove, reset.

Whoever has a second factor has proved it in every live session: confirming one ends the sessions
that were started without, and a sign-in that began without it is refused under the lock of the
user's row, which every change here holds too. So what a user may do depends on the user alone,
and is remembered and forgotten as such.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from django.db import transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from accounts.models import User
from authn import notices, passwords, refusals, sessions, throttle
from authn.mfa import policy, totp
from authn.mfa.sealing import CannotOpen
from authn.models import RecoveryCode, SecondFactor, Session, TotpFactor
from fluxiq import metrics
from fluxiq.audit import models as audit
from fluxiq.errors import Conflict, ServiceUnavailable, Unauthorized, ValidationFailed
from fluxiq.metrics.families import SIGN_INS

logger = logging.getLogger(__name__)

INVALID_CODE = "Invalid code"


class WrongCode(Unauthorized):
    """The code is neither the app's nor a recovery code that still serves."""

    message = INVALID_CODE


Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A secret for an authenticator app, shown until its first code confirms it."""

    factor_id: int
    secret: str
    account: str

    @property
    def uri(self) -> str:
        """What the app reads."""
        return totp.uri(self.secret, self.account)


# Enrolling


def enrol(
    user: User, *, current_password: str, code: str | None, session_id: str | None
) -> Enrolment:
    """A new secret, not asked for anywhere until it is confirmed.

    Whoever has a second factor proves it too, and keeps it until then: so it moves to a new
    phone. Raises RateLimited, ValidationFailed naming what is wrong, and Unauthorized for a session
    that ended meanwhile.
    """
    proved = passwords.prove_current(user, current_password)

    def propose(found: User, _: SecondFactor | None = None) -> Enrolment:
        passwords.lock_as_proved(proved)
        return _propose(found)

    if code is not None:
        return _checked(user.pk, session_id, code, propose)
    with transaction.atomic():
        found = sessions.lock_own(user.pk, session_id)
        if found.has_second_factor:
            raise ValidationFailed({"code": ["Required: you have a second factor already."]})
        return propose(found)


def enrol_without_one(user_id: str) -> Enrolment:
    """A new secret for a user who has just proved their password and has no second factor.

    Raises Conflict where they have one.
    """
    with transaction.atomic():
        user = User.objects.lock(user_id)
        if user.has_second_factor:
            raise Conflict("There is a second factor already")
        return _propose(user)


def _propose(user: User) -> Enrolment:
    factor, secret = TotpFactor.objects.propose(user)
    return Enrolment(factor.pk, secret, user.masked_document)


def pending_enrolment(user: User, factor_id: int) -> Enrolment | None:
    """That enrolment, if it is the user's and still waits for its first code.

    By its id: another's, such as one begun by somebody who knows the password, is not shown.
    """
    factor = TotpFactor.objects.pending().filter(user=user, pk=factor_id).first()
    if factor is None:
        return None
    try:
        return Enrolment(factor.pk, factor.secret(), user.masked_document)
    except CannotOpen:  # its key is gone: nothing is lost with what nobody confirmed
        return None


def confirm(
    user_id: str,
    code: str,
    *,
    session_id: str | None = None,
    factor_id: int | None = None,
    first: Callable[[User], None] | None = None,
    then: Callable[[User], None] | None = None,
) -> Sequence[str]:
    """The first code of the app: from now on it is asked for. Returns the recovery codes.

    Every other session of the user ends. `first` is called with the locked user as they were, and
    may refuse (Unauthorized); `then` with the user as they are now, in the same transaction. Raises
    Conflict where no enrolment (or not that one) is under way, RateLimited, WrongCode, and
    Unauthorized for a session that ended meanwhile.
    """

    def do(user: User) -> Sequence[str]:
        if first is not None:
            first(user)
        pending = TotpFactor.objects.pending().filter(user=user)
        factor = pending.filter(**({} if factor_id is None else {"pk": factor_id})).first()
        if factor is None:
            raise Conflict("No enrolment is under way, or its 30 minutes are over")
        if not _opened(lambda: factor.claim(code)):
            raise WrongCode
        now = timezone.now()
        TotpFactor.objects.confirmed().filter(user=user).delete()
        TotpFactor.objects.filter(pk=factor.pk).update(confirmed_at=now)
        codes = RecoveryCode.objects.renew(user)
        user.mfa_enrolled_at = now
        user.save(update_fields=["mfa_enrolled_at"])
        _settle_sessions(user, session_id, SecondFactor.TOTP, "second factor enrolled")
        audit.record(audit.Kind.MFA_ENROLLED, object_id=user.pk, actor=("user", user.pk))
        notices.second_factor_added(user)
        if then is not None:
            then(user)
        return codes

    return _tried(user_id, session_id, do)


# Proving


def prove(
    user_id: str,
    code: str,
    then: Callable[[User, SecondFactor], Result],
    *,
    session_id: str | None = None,
) -> Result:
    """Prove the user's second factor, and do what it was asked for in the same transaction.

    `code` is the app's, or a recovery code; either is good once. Raises RateLimited before any of
    it, WrongCode, and Unauthorized for a session that ended meanwhile or where `then` does, after
    which the code still serves.
    """

    def do(user: User) -> Result:
        proved = _claim(user, code)
        if proved is None:
            raise WrongCode
        return then(user, proved)

    return _tried(user_id, session_id, do)


def _tried(user_id: str, session_id: str | None, do: Callable[[User], Result]) -> Result:
    """One attempt under the throttle, in a transaction that holds the lock of the user's row."""
    with refusals.of_second_factor(user_id), throttle.code_attempt(user_id) as attempt:
        try:
            with transaction.atomic():
                return do(sessions.lock_own(user_id, session_id))
        except WrongCode:
            metrics.add(SIGN_INS, "wrong_code")
            if attempt.is_last:
                _note_guesses(user_id)
            raise


@sensitive_variables("code")
def _claim(user: User, code: str) -> SecondFactor | None:
    typed = "".join(code.split())
    if totp.is_code(typed):
        factor = TotpFactor.objects.confirmed().filter(user=user).first()
        is_good = factor is not None and _opened(lambda: factor.claim(typed))
        return SecondFactor.TOTP if is_good else None
    if not RecoveryCode.objects.spend(user, code):
        return None
    left = RecoveryCode.objects.filter(user=user).count()
    audit.record(
        audit.Kind.RECOVERY_CODE_USED,
        object_id=user.pk,
        after={"left": left},
        actor=("user", user.pk),
    )
    notices.recovery_code_used(user, left)
    return SecondFactor.RECOVERY_CODE


def _opened(use: Callable[[], Result]) -> Result:
    """Use a sealed secret. Raises ServiceUnavailable where its key is gone: ours to mend."""
    try:
        return use()
    except CannotOpen as error:
        logger.error("a second factor cannot be used: %s", error)
        raise ServiceUnavailable from error


@transaction.atomic
def _note_guesses(user_id: str) -> None:
    user = User.objects.get(pk=user_id)
    audit.record(audit.Kind.MFA_GUESSED, object_id=user.pk, after={"failures": throttle.CODE_LIMIT})
    notices.second_factor_guessed(user)


def _checked(
    user_id: str, session_id: str | None, code: str, then: Callable[[User, SecondFactor], Result]
) -> Result:
    """`prove`, for a call that has a credential already: a wrong code is ValidationFailed."""
    try:
        return prove(user_id, code, then, session_id=session_id)
    except WrongCode as error:
        raise ValidationFailed({"code": [f"{INVALID_CODE}."]}) from error


# Changing


def renew_recovery_codes(user: User, code: str, session_id: str | None) -> Sequence[str]:
    """New recovery codes in place of the old ones. Raises RateLimited, ValidationFailed, Conflict
    where there is no second factor, and Unauthorized for a session that ended meanwhile."""
    _require_factor(user)

    def renew(found: User, _: SecondFactor) -> Sequence[str]:
        audit.record(audit.Kind.RECOVERY_CODES_RENEWED, object_id=found.pk)
        notices.recovery_codes_renewed(found)
        return RecoveryCode.objects.renew(found)

    return _checked(user.pk, session_id, code, renew)


def remove(user: User, *, current_password: str, code: str, session_id: str | None) -> None:
    """Remove the second factor: a password alone signs in again. Every other session ends.

    Raises Conflict where there is none or something requires it, RateLimited, ValidationFailed, and
    Unauthorized for a session that ended meanwhile.
    """
    _require_factor(user)
    _forbid_where_required(user)
    proved = passwords.prove_current(user, current_password)

    def drop(found: User, _: SecondFactor) -> None:
        passwords.lock_as_proved(proved)
        _forbid_where_required(found)
        _drop(found)
        _settle_sessions(found, session_id, "", "second factor removed")
        audit.record(audit.Kind.MFA_REMOVED, object_id=found.pk)
        notices.second_factor_removed(found)

    _checked(user.pk, session_id, code, drop)


@transaction.atomic
def reset(user: User, reason: str = "") -> bool:
    """Remove a lost second factor, for staff. Every session ends, the console's too.

    False, and nothing changed, where there is none.
    """
    found = User.objects.lock(user.pk)
    if not found.has_second_factor:
        return False
    _drop(found)
    _settle_sessions(found, None, "", "second factor reset")
    audit.record(audit.Kind.MFA_RESET, object_id=found.pk, after={"reason": reason})
    notices.second_factor_removed(found)
    user.mfa_enrolled_at = None
    return True


@transaction.atomic
def withdraw_recovery_codes(user: User, reason: str) -> None:
    """Have the present recovery codes serve no more; the app is asked for as before."""
    RecoveryCode.objects.filter(user=User.objects.lock(user.pk)).delete()
    audit.record(audit.Kind.RECOVERY_CODES_RENEWED, object_id=user.pk, after={"withdrawn": reason})


def _forbid_where_required(user: User) -> None:
    if policy.is_required_of(user):
        raise Conflict(
            "A second factor is required of you. Enrol anew to move it to another device"
        )


def _require_factor(user: User) -> None:
    if not user.has_second_factor:
        raise Conflict("There is no second factor. Enrol one first")


def _drop(user: User) -> None:
    TotpFactor.objects.filter(user=user).delete()
    RecoveryCode.objects.filter(user=user).delete()
    user.mfa_enrolled_at = None
    user.save(update_fields=["mfa_enrolled_at"])


def _settle_sessions(user: User, session_id: str | None, second_factor: str, reason: str) -> None:
    """End every session but the one in hand, which stands as it is said."""
    sessions.end_all(user, reason, except_session=session_id)
    Session.objects.filter(pk=session_id, user=user).update(second_factor=second_factor)
