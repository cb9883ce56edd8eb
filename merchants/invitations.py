"""Invitations: a secret that is shown once or mailed, kept as a digest, good for seven days."""

import hashlib
import secrets
from datetime import timedelta

from fluxiq.mail import send
from fluxiq.names import shown

LIFETIME = timedelta(days=7)
MAX_OPEN = 100  # a merchant's, not accepted and not expired
TOO_MANY_OPEN = (
    f"This merchant has {MAX_OPEN} open invitations. Remove some, or wait until they are accepted"
)


def new() -> str:
    """A fresh invitation, 256 bits: guessing needs no slow hash to be hopeless."""
    return "inv_" + secrets.token_urlsafe(32)


def digest(invitation: str) -> bytes:
    """What the database keeps of it."""
    return hashlib.sha256(invitation.encode()).digest()


def mail(address: str, merchant_name: str, name: str, invitation: str) -> None:
    """Send the invitation to the person invited."""
    merchant_name, name = shown(merchant_name), shown(name)
    send(
        [address],
        f"{merchant_name} invites you to FluxiQ",
        f"Hello {name},\n\n{merchant_name} invites you to its FluxiQ account. Accept within"
        f" {LIFETIME.days} days, with your document and this invitation:\n\n{invitation}\n\n"
        "If you do not know this merchant, ignore this message: nothing happens.\n",
    )
