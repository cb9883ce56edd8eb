"""The format of an API key, and its digest at rest. No ORM in it.

A key is `sk_live_` (or `sk_test_`), 32 random base62 characters (190 bits), and 6 that are the
zlib CRC-32 of the ASCII bytes before them, in base62, most significant first, padded with `0`.
Source: contract, section 5.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass, field

from fluxiq import rings

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_LENGTH = 32
CHECKSUM_LENGTH = 6  # 62**6 > 2**32
PREFIXES = {"live": "sk_live_", "test": "sk_test_"}

MARKER = "sk_"  # what begins with it is judged as a key and never as a JWT

_SHAPE = re.compile(r"(sk_live_|sk_test_)[0-9A-Za-z]{38}")
_HINT_TAIL = 4


def checksum(body: str) -> str:
    """The 6 characters that follow `body` (prefix included), which is ASCII."""
    value = zlib.crc32(body.encode("ascii"))
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        value, digit = divmod(value, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def generate(environment: str) -> str:
    """A fresh key for `live` or `test`."""
    random = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    body = PREFIXES[environment] + random
    return body + checksum(body)


def has_shape(key: str, environment: str) -> bool:
    """Whether this looks like a key of that environment: prefix, length and alphabet."""
    return key.startswith(PREFIXES[environment]) and _SHAPE.fullmatch(key) is not None


def is_well_formed(key: str, environment: str) -> bool:
    """Whether this could be a key of that environment: shape and checksum."""
    if not has_shape(key, environment):
        return False
    return hmac.compare_digest(checksum(key[:-CHECKSUM_LENGTH]), key[-CHECKSUM_LENGTH:])


def hint(key: str) -> str:
    """What may be shown of a key ever after, such as `sk_live_…i789`."""
    prefix = key[: len(PREFIXES["live"])]
    return f"{prefix}…{key[-_HINT_TAIL:]}"


@dataclass(frozen=True, slots=True)
class Pepper:
    """A secret outside the database, without which a digest in it is worth nothing."""

    id: str
    secret: bytes
    _begun: hmac.HMAC = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # With the secret taken in once: to begin anew for each key costs twice the time.
        object.__setattr__(self, "_begun", hmac.new(self.secret, digestmod=hashlib.sha256))

    def digest(self, key: str) -> bytes:
        """HMAC-SHA256 of the key. No slow hash: 190 random bits cannot be guessed."""
        mac = self._begun.copy()
        mac.update(key.encode("ascii"))
        return mac.digest()


class InvalidPeppers(ValueError):
    """API_KEY_PEPPERS cannot be used; the message says why, without a secret."""


MIN_PEPPER_BYTES = 16  # 128 bits, were they random


def parse_peppers(text: str) -> tuple[Pepper, ...]:
    """The pepper ring of `id:secret,id:secret`, newest first. Raises InvalidPeppers."""
    try:
        return tuple(Pepper(*entry) for entry in rings.entries(text, MIN_PEPPER_BYTES))
    except rings.InvalidRing as error:
        raise InvalidPeppers(str(error)) from error
