"""Make a key for MFA_KEYS."""

from collections.abc import Iterable

from authn.management.commands import make_pepper
from authn.mfa import sealing


class Command(make_pepper.Command):
    """`make_mfa_key [--id I]`."""

    help = "Print a new entry for MFA_KEYS. Nothing is stored."
    advice = (
        "Put it last in MFA_KEYS on every server; once all know it, first: a second factor moves to"
        " the first when it is used. `doctor` tells when an old one can go."
    )

    def ids_of(self, entry: str) -> Iterable[str]:
        """The ids that the ring reads there. Raises ValueError where it refuses the entry."""
        return (key.id for key in sealing.parse_keys(entry))
