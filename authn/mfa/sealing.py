"""Secrets that have to be read again, sealed at rest. No ORM in it.

AES-256-GCM (NIST SP 800-38D) under a key that HKDF-SHA256 (RFC 5869) makes of an entry of the ring
MFA_KEYS, which is not in the database. What is sealed is bound to its owner: moved to the row of
another, it opens nothing.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from fluxiq import rings

MIN_KEY_BYTES = 32
_KEY_LENGTH = 32  # AES-256
_NONCE_LENGTH = 12  # 96 bits, random: a ring's key seals far fewer than the 2**32 that NIST allows
_PURPOSE = b"fluxiq second factor"


class InvalidSealingKeys(ValueError):
    """MFA_KEYS cannot be used; the message says why, without a secret."""


class CannotOpen(Exception):
    """What was sealed cannot be opened: its key is gone, or it is not what was sealed."""


@dataclass(frozen=True, slots=True)
class SealingKey:
    """One key of the ring."""

    id: str
    _cipher: AESGCM

    def seal(self, secret: bytes, owner: str) -> bytes:
        """The secret, sealed for that owner."""
        nonce = os.urandom(_NONCE_LENGTH)
        return nonce + self._cipher.encrypt(nonce, secret, owner.encode())

    def open(self, sealed: bytes, owner: str) -> bytes:
        """What was sealed for that owner. Raises CannotOpen."""
        nonce, ciphertext = sealed[:_NONCE_LENGTH], sealed[_NONCE_LENGTH:]
        try:
            return self._cipher.decrypt(nonce, ciphertext, owner.encode())
        except (InvalidTag, ValueError) as error:
            raise CannotOpen(f"what {self.id} sealed for {owner} does not open") from error


def parse_keys(text: str) -> tuple[SealingKey, ...]:
    """The ring of `id:secret,id:secret`, newest first. Raises InvalidSealingKeys."""
    try:
        return tuple(
            SealingKey(key_id, AESGCM(_derive(secret)))
            for key_id, secret in rings.entries(text, MIN_KEY_BYTES)
        )
    except rings.InvalidRing as error:
        raise InvalidSealingKeys(str(error)) from error


@lru_cache(maxsize=8)
def _parsed_keys(text: str) -> tuple[SealingKey, ...]:
    return parse_keys(text)


def sealing_keys() -> tuple[SealingKey, ...]:
    """The ring of the settings in force, newest first. Raises InvalidSealingKeys."""
    return _parsed_keys(settings.MFA_KEYS)


def _derive(secret: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_LENGTH, salt=None, info=_PURPOSE).derive(secret)


def key_of(ring: Sequence[SealingKey], key_id: str) -> SealingKey:
    """The key of that id. Raises CannotOpen where it is not in the ring (any more)."""
    for key in ring:
        if key.id == key_id:
            return key
    raise CannotOpen(f"the key {key_id} is not in MFA_KEYS")
