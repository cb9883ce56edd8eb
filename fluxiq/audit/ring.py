"""The ring of keys under which the trail is sealed: AUDIT_KEYS, `id:secret,…`, newest first."""

import hmac
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings

from fluxiq import rings

MIN_KEY_BYTES = 32  # as many as HMAC-SHA256 puts out (RFC 2104, section 3)


@dataclass(frozen=True, slots=True)
class Key:
    """A secret outside the database, without which nobody can make a seal."""

    id: str
    secret: bytes

    def mac(self, message: bytes) -> bytes:
        """HMAC-SHA256 of the message: 32 bytes."""
        return hmac.digest(self.secret, message, "sha256")

    def made(self, mac: bytes, message: bytes) -> bool:
        """Whether this is the key's code of that message."""
        return hmac.compare_digest(self.mac(message), mac)


def ring() -> tuple[Key, ...]:
    """The keys of the settings in force, newest first. Raises rings.InvalidRing."""
    return parse(settings.AUDIT_KEYS)


def by_id() -> dict[str, Key]:
    """The keys by their ids. Raises rings.InvalidRing."""
    return {key.id: key for key in ring()}


@lru_cache(maxsize=8)
def parse(text: str) -> tuple[Key, ...]:
    """The ring that a text holds. Raises rings.InvalidRing."""
    return tuple(Key(*entry) for entry in rings.entries(text, MIN_KEY_BYTES))
