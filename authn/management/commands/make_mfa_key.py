"""Make a key for MFA_KEYS."""

from collections.abc import Iterable

from authn.management.commands import make_pepper
from authn.mfa import sealing


class Command(make_pepper.Command):
    """`make_mfa_key [--id I]`."""

    help = "Print a new entry for MFA_KEYS. Nothing is stored."
    advice = (
        "Put it first in MFA_KEYS and keep the older ones: a second factor moves to it when it is"
        " used. `check --database default` tells whether one that is gone is still needed."
    )

    def ids_of(self, entry: str) -> Iterable[str]:
        """The ids that the ring reads there. Raises ValueError where it refuses the entry."""
        return (key.id for key in sealing.parse_keys(entry))
