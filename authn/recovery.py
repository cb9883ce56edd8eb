"""A forgotten password: a link of thirty minutes to the user's mailbox, good for one reset.

The token is Django's: an HMAC over the user, the time, the present password hash and the session
epoch. It is stored nowhere, and dies with the password that it replaces and with the sessions that
are all ended, as by a deactivation.
"""

from typing import Any

from django.conf import settings
from django.contrib.auth.tokens import PasswordResetTokenGenerator

from accounts.models import User
from authn import passwords, ratelimit
from authn.ratelimit import Bucket
from fluxiq import ids
from fluxiq.audit import models as audit
from fluxiq.errors import Unauthorized
from fluxiq.mail import send
from fluxiq.names import shown

MAILS_PER_HOUR = 3  # to one user: nobody can flood a mailbox through us
HOUR = 60 * 60


class ResetTokens(PasswordResetTokenGenerator):
    """Django's tokens, of one session epoch."""

    def _make_hash_value(self, user: Any, timestamp: int) -> str:
        return f"{super()._make_hash_value(user, timestamp)}{user.session_epoch}"


_tokens = ResetTokens()


def forgot(document: str) -> None:
    """Mail a link to the user of this document, if there is one with an e-mail address.

    What it does and how long it takes tells whether there is: no answer may wait for it. A mail is
    audited.
    """
    user = User.objects.for_document(document)
    if user is None or not user.is_active or not user.email:
        return
    if ratelimit.count(Bucket("recovery", user.id, MAILS_PER_HOUR, HOUR)).is_exceeded:
        return
    audit.record(audit.Kind.PASSWORD_RESET_MAILED, object_id=user.id)
    link = make_link(user)
    minutes = settings.PASSWORD_RESET_TIMEOUT // 60
    send(
        [user.email],
        "Reset your FluxiQ password",
        f"Hello {shown(user.name)},\n\nset a new password within {minutes} minutes:\n\n{link}\n\n"
        "If you did not ask for this, ignore this message: your password stays as it is.\n",
    )


def make_link(user: User) -> str:
    """The address of a page on which the user sets a new password, once, within thirty minutes."""
    return str(settings.PASSWORD_RESET_URL.replace("{token}", make_token(user)))


def hand_over_link(user: User) -> str:
    """The link for staff to hand to a user who has no mailbox; that it was made is audited."""
    audit.record(audit.Kind.STAFF_ACTION, object_id=user.id, after={"made": "password reset link"})
    return make_link(user)


def make_token(user: User) -> str:
    """A token that resets this user's password once."""
    return f"{user.id}.{_tokens.make_token(user)}"


def reset(token: str, new_password: str) -> None:
    """Set a new password and end every session.

    Raises Unauthorized for a token that is not good (any more), ValidationFailed for a password
    that breaks a rule, after which the token still serves.
    """
    user_id, _, proof = token.partition(".")
    user = None
    if ids.is_valid(ids.Prefix.USER, user_id):
        user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None or not _tokens.check_token(user, proof):
        raise Unauthorized
    passwords.reset(user, new_password, by_link=True)
