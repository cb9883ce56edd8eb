"""Recovery codes: ten secrets for the day the phone is gone, each good once. No ORM in it."""

import base64
import hashlib
import secrets

COUNT = 10
_RANDOM_BYTES = 10  # 80 bits: guessing needs no slow hash to be hopeless
_LENGTH = 16  # of base32
_GROUP = 4


def new() -> list[str]:
    """Fresh codes, as they are shown: `ABCD-EFGH-IJKL-MNOP`."""
    return [_shown(secrets.token_bytes(_RANDOM_BYTES)) for _ in range(COUNT)]


def _shown(random: bytes) -> str:
    text = base64.b32encode(random).decode()
    return "-".join(text[i : i + _GROUP] for i in range(0, _LENGTH, _GROUP))


def normalise(text: str) -> str:
    """A code however it is typed: without dashes and spaces, in capitals."""
    return "".join(text.upper().replace("-", "").split())


def digest(user_id: str, code: str) -> bytes:
    """What the database keeps of a user's code: SHA-256, different for each user."""
    return hashlib.sha256(f"{user_id} {normalise(code)}".encode()).digest()
