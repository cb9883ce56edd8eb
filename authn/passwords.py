"""Proving, changing and setting passwords. The throttle answers before any hashing."""

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import User
from authn import notices, refusals, sessions, throttle
from fluxiq import metrics
from fluxiq.audit import models as audit
from fluxiq.errors import INVALID_LOGIN, Unauthorized, ValidationFailed
from fluxiq.metrics.families import SIGN_INS


def prove(document: str, password: str) -> User:
    """The active user of this document and password.

    Raises RateLimited before any hashing, and Unauthorized with one message, and after the same
    work, whether the document is unknown, the password wrong or the user inactive.
    """
    with refusals.of_sign_in(document), throttle.attempt(document):
        user = User.objects.for_document(document)
        if user is None:
            make_password(password)  # the time that a wrong password costs
            metrics.add(SIGN_INS, "unknown_document")
            raise Unauthorized(INVALID_LOGIN)
        if not user.check_password(password):
            metrics.add(SIGN_INS, "wrong_password")
            raise Unauthorized(INVALID_LOGIN)
        if not user.is_active:
            metrics.add(SIGN_INS, "inactive")
            raise Unauthorized(INVALID_LOGIN)
    return user


def prove_current(user: User, password: str) -> User:
    """Prove the password of a user who is signed in.

    Returns the user as they were when it was proved. Raises RateLimited, and ValidationFailed for a
    wrong one, which counts as a failed sign-in.
    """
    try:
        return prove(user.document, password)
    except Unauthorized as error:
        raise _wrong_current() from error


def lock_as_proved(proved: User) -> User:
    """The user, locked. Raises ValidationFailed where `prove_current` no longer holds."""
    found = User.objects.lock_as_proved(proved).first()
    if found is None:
        raise _wrong_current()
    return found


def _wrong_current() -> ValidationFailed:
    return ValidationFailed({"current_password": ["Wrong password."]})


def check_new(password: str, user: User | None, field: str) -> None:
    """Raises ValidationFailed, naming `field`, where the password breaks a rule."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise ValidationFailed({field: error.messages}) from error


def change(user: User, *, current: str, new: str, session_id: str | None) -> None:
    """Change a password, and end every other session.

    Raises RateLimited, ValidationFailed for a wrong current or an unfit new password, and
    Unauthorized where the session ended meanwhile.
    """
    check_new(new, user, "new_password")
    proved = prove_current(user, current)
    encoded = make_password(new)  # before the transaction: nobody waits for it on a lock
    with transaction.atomic():
        sessions.lock_own(user.pk, session_id)
        lock_as_proved(proved)
        user.replace_password(encoded, proved.password)
        audit.record(audit.Kind.PASSWORD_CHANGED, object_id=user.id)
        notices.password_changed(user)
        sessions.end_all(user, "password changed", except_session=session_id)


def reset(user: User, new: str, *, by_link: bool = False) -> None:
    """Set a password without the present one, and end every session.

    With `by_link` the user does it themselves, by a link that dies with the password that it
    replaces. Raises ValidationFailed, and Unauthorized for a link that was used meanwhile.
    """
    check_new(new, user, "new_password")
    encoded = make_password(new)  # before the transaction: nobody waits for it on a lock
    actor = ("user", user.id) if by_link else None
    with transaction.atomic():
        found = User.objects.lock_as_proved(user).first() if by_link else User.objects.lock(user.pk)
        if found is None:
            raise Unauthorized
        user.replace_password(encoded, found.password)
        audit.record(audit.Kind.PASSWORD_RESET, object_id=user.id, actor=actor)
        sessions.end_all(user, "password reset")
        notices.password_changed(user)


@transaction.atomic
def withdraw(user: User, reason: str) -> None:
    """Have the present password serve no more; every session ends. A reset sets a new one."""
    user.set_unusable_password()
    user.save(update_fields=["password"])
    audit.record(audit.Kind.PASSWORD_RESET, object_id=user.id, after={"withdrawn": reason})
    sessions.end_all(user, reason)
