"""Rings of secrets in one variable: `id:secret,id:secret`, newest first. No Django in it.

What is wrong is said by the position of the entry. An id is never repeated: where the colon was
forgotten, or stands elsewhere, what is read as the id is the secret.
"""

import re
import secrets
from collections.abc import Iterator
from datetime import date

ID_LENGTH = 32


class InvalidRing(ValueError):
    """The ring cannot be used; the message says why, without any part of an entry."""


def split(text: str, id_name: str, max_length: int) -> Iterator[tuple[int, str, str]]:
    """The (position, id, rest) of each entry, from 1 on. `id_name` is what an id is called.

    Raises InvalidRing for a ring without entries, an entry without a colon, and an id of another
    form or that stands twice.
    """
    positions: dict[str, int] = {}
    entries = (entry.strip() for entry in text.split(","))
    for position, entry in enumerate(filter(None, entries), 1):
        name, colon, rest = entry.partition(":")
        if not colon:
            raise InvalidRing(f"entry {position} has no {id_name}: it must be {id_name}:secret")
        if re.fullmatch(rf"[A-Za-z0-9_.-]{{1,{max_length}}}", name) is None:
            raise InvalidRing(
                f"entry {position} has no usable {id_name}: 1 to {max_length} of A-Z a-z 0-9 _ . -"
            )
        if name in positions:
            raise InvalidRing(f"entries {positions[name]} and {position} have the same {id_name}")
        positions[name] = position
        yield position, name, rest
    if not positions:
        raise InvalidRing("there is no entry")


def check_length(position: int, secret: str, min_bytes: int) -> bytes:
    """The secret as bytes. Raises InvalidRing for one under `min_bytes`."""
    encoded = secret.encode()
    if len(encoded) < min_bytes:
        raise InvalidRing(f"the secret of entry {position} has under {min_bytes} bytes")
    return encoded


def entries(text: str, min_bytes: int) -> Iterator[tuple[str, bytes]]:
    """The (id, secret) of each entry, in order.

    Raises InvalidRing as `split` does, and for a secret under `min_bytes`.
    """
    for position, name, secret in split(text, "id", ID_LENGTH):
        yield name, check_length(position, secret, min_bytes)


def new_id(day: date) -> str:
    """An id for a new entry: the day, and 6 random characters, so that two of one day differ."""
    return f"{day:%Y-%m-%d}-{secrets.token_hex(3)}"
