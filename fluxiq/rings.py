"""Rings of secrets in one variable: `id:secret,id:secret`, newest first. No Django in it."""

import re
from collections.abc import Iterator

_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")


class InvalidRing(ValueError):
    """The ring cannot be used; the message says why, without a secret."""


def entries(text: str, noun: str, min_bytes: int) -> Iterator[tuple[str, bytes]]:
    """The (id, secret) of each entry, in order. `noun` names an entry in what is said of it.

    Raises InvalidRing for a ring without entries, an id of another form or that stands twice, and
    a secret under `min_bytes`.
    """
    seen: set[str] = set()
    for entry in filter(None, (e.strip() for e in text.split(","))):
        name, _, secret = entry.partition(":")
        if _ID.fullmatch(name) is None:
            raise InvalidRing(f"each {noun} is id:secret; an id has 1 to 32 of A-Z a-z 0-9 _ . -")
        if len(secret.encode()) < min_bytes:
            raise InvalidRing(f"the {noun} {name} has under {min_bytes} bytes")
        if name in seen:
            raise InvalidRing(f"the {noun} id {name} stands twice")
        seen.add(name)
        yield name, secret.encode()
    if not seen:
        raise InvalidRing(f"there is no {noun}")
