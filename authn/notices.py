"""Security notices by mail: what the holder of an account should learn of without asking."""

from typing import TYPE_CHECKING

from accounts.models import User
from fluxiq import origin
from fluxiq.mail import send
from fluxiq.names import shown
from fluxiq.scopes import Role
from merchants.models import Membership

if TYPE_CHECKING:
    from authn.models import ApiKey, Session

_FOOTER = (
    "\nIf this was not expected, sign in, change your password, end your sessions and revoke keys"
    " that you do not know. FluxiQ never asks for a password or a key by mail.\n"
)


def _whence() -> str:
    source = origin.current()
    where = f"From: {source.address}\n" if source.address else ""
    return where + (f"With: {source.user_agent}\n" if source.user_agent else "")


def api_key_issued(api_key: "ApiKey") -> None:
    """Tell the owners of the key's merchant, and who made it, that there is a new key."""
    if api_key.merchant is None:
        return
    owners = Membership.objects.in_force().filter(merchant=api_key.merchant, role=Role.OWNER)
    recipients = list(owners.filter(user__is_active=True).values_list("user__email", flat=True))
    if api_key.created_by is not None:
        recipients.append(api_key.created_by.email)
    permissions, merchant = ", ".join(api_key.permissions), shown(api_key.merchant.name)
    send(
        recipients,
        f"New API key at {merchant}",
        f"The API key {shown(api_key.name)!r} ({api_key.hint}) was issued for {merchant},"
        f" with the permissions {permissions}.\n{_whence()}{_FOOTER}",
    )


def password_changed(user: User) -> None:
    """Tell a user that their password is another now."""
    send(
        [user.email],
        "Your FluxiQ password was changed",
        f"Hello {shown(user.name)},\n\nyour password was changed, and your sessions were ended."
        f"\n{_whence()}{_FOOTER}",
    )


def session_reused(session: "Session") -> None:
    """Tell a user that a retired token of theirs was presented, and their session ended."""
    send(
        [session.user.email],
        "A FluxiQ session of yours was ended",
        f"Hello {shown(session.user.name)},\n\na token of your session of"
        f" {session.created_at:%Y-%m-%d %H:%M} UTC ({session.address}) was used a second time, as"
        f" happens when it was stolen. The session was ended.\n{_whence()}{_FOOTER}",
    )


def second_factor_added(user: User) -> None:
    """Tell a user that an authenticator app is asked for at their sign-in from now on."""
    _tell(
        user,
        "Two-factor sign-in is on at FluxiQ",
        "an authenticator app was added to your account: its code is asked for when you sign in."
        " Your other sessions were ended.",
    )


def second_factor_removed(user: User) -> None:
    """Tell a user that a password alone signs them in again."""
    _tell(
        user,
        "Two-factor sign-in is off at FluxiQ",
        "the authenticator app was removed from your account: your password alone signs you in."
        " Your sessions were ended.",
    )


def recovery_codes_renewed(user: User) -> None:
    """Tell a user that their recovery codes are others now."""
    _tell(
        user,
        "New recovery codes at FluxiQ",
        "new recovery codes were made for your account. The old ones do not serve any more.",
    )


def recovery_code_used(user: User, left: int) -> None:
    """Tell a user that one of their recovery codes is spent."""
    _tell(
        user,
        "A recovery code was used at FluxiQ",
        f"a recovery code was used in the place of your authenticator app. {left} are left.",
    )


def second_factor_guessed(user: User) -> None:
    """Tell a user that codes were tried in vain: whoever did that may know the password."""
    _tell(
        user,
        "Wrong sign-in codes at FluxiQ",
        "wrong codes were given for your account several times. Whoever did that may know your"
        " password: unless it was you, change it now.",
    )


def document_reclaimed(user: User) -> None:
    """Tell the mailbox that a user had that it is not theirs any more."""
    send(
        [user.email],
        "Your FluxiQ account was given back to the holder of its document",
        "FluxiQ's staff have identified the holder of the document that this account is of."
        " Its sessions, its password and its second factor serve no more, and this address"
        " belongs to it no more.\n\nIf you are the holder and did not ask for this, tell FluxiQ at"
        " once. FluxiQ never asks for a password or a key by mail.\n",
    )


def _tell(user: User, subject: str, what: str) -> None:
    send([user.email], subject, f"Hello {shown(user.name)},\n\n{what}\n{_whence()}{_FOOTER}")
