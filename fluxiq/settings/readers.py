"""How settings are read: one function for each kind of value, and what it must be like.

A value that is not of its kind is refused by the name of its variable. No refusal repeats a value,
nor holds another error that might: it may be a secret, or one that was put into the wrong variable.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from email.utils import parseaddr
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured

from fluxiq.addresses import parse_networks
from fluxiq.settings.environment import Variables

environment = Variables(cache=False)

# Accepted in any case.
BOOLEANS = {
    **dict.fromkeys(("on", "true", "yes", "1"), True),
    **dict.fromkeys(("off", "false", "no", "0"), False),
}
MAX_INTEGER = 2**31 - 1
MAX_PORT = 65_535
WEB = ("http", "https")

_HOST = re.compile(r"\*|\.?[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")


def text(name: str, default: str = "") -> str:
    """The variable as it stands, or what its _FILE holds, without white space around it.

    Raises ImproperlyConfigured as `Variables` does.
    """
    return str(environment.get(name, "")).strip() or default


def boolean(name: str, default: bool) -> bool:
    """A boolean in one of the spellings of BOOLEANS. Raises ImproperlyConfigured."""
    value = text(name).lower()
    if not value:
        return default
    if value not in BOOLEANS:
        raise ImproperlyConfigured(f"{name} must be on or off (true, false, yes, no, 1 or 0)")
    return BOOLEANS[value]


def integer(name: str, default: int, minimum: int = 0, maximum: int = MAX_INTEGER) -> int:
    """A whole number within these bounds. Raises ImproperlyConfigured."""
    value = text(name)
    if not value:
        return default
    if re.fullmatch(r"[0-9]{1,10}", value) is None or not minimum <= int(value) <= maximum:
        raise ImproperlyConfigured(f"{name} must be a whole number from {minimum} to {maximum}")
    return int(value)


def number(name: str, default: float, maximum: int) -> float:
    """A number from 0 to `maximum`, maybe with a decimal point. Raises ImproperlyConfigured."""
    value = text(name)
    if not value:
        return default
    if re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,10})?", value) is None or Decimal(value) > maximum:
        raise ImproperlyConfigured(f"{name} must be a number from 0 to {maximum}")
    return float(value)


def listed(name: str, default: Sequence[str] = ()) -> list[str]:
    """A comma-separated list, without empty entries and white space around them.

    Raises ImproperlyConfigured for white space within an entry, and for a list of nothing.
    """
    value = text(name)
    if not value:
        return list(default)
    entries = [entry.strip() for entry in value.split(",") if entry.strip()]
    for position, entry in enumerate(entries, 1):
        if entry.split() != [entry]:
            raise ImproperlyConfigured(
                f"{name} must be a comma-separated list: entry {position} has white space in it"
            )
    if not entries:
        raise ImproperlyConfigured(f"{name} must be a comma-separated list: it has no entry")
    return entries


def hosts(name: str, default: Sequence[str] = ()) -> list[str]:
    """A list of host names, each with neither scheme nor port. Raises ImproperlyConfigured."""
    entries = listed(name, default)
    for position, entry in enumerate(entries, 1):
        if _HOST.fullmatch(entry) is None:
            raise ImproperlyConfigured(
                f"{name}: entry {position} must be a host name without scheme, port or path"
            )
    return entries


def origins(name: str) -> list[str]:
    """A list of origins such as `https://app.example.com`. Raises ImproperlyConfigured."""
    entries = listed(name)
    for position, entry in enumerate(entries, 1):
        parts = split_url(entry)
        if parts is None or entry not in {f"{s}://{parts.netloc}" for s in WEB} or "@" in entry:
            raise ImproperlyConfigured(
                f"{name}: entry {position} must be an origin such as https://app.example.com"
            )
    return entries


def host(name: str, default: str) -> str:
    """A host name or an address, without a port. Raises ImproperlyConfigured."""
    value = text(name, default)
    if _HOST.fullmatch(f"[{value}]" if ":" in value else value) is None:
        raise ImproperlyConfigured(f"{name} must be a host name or an address without a port")
    return value


def networks(name: str) -> Any:
    """A comma-separated list of CIDRs. Raises ImproperlyConfigured."""
    entries = listed(name)
    for position, entry in enumerate(entries, 1):
        try:
            parse_networks([entry])
        except ValueError:
            raise ImproperlyConfigured(
                f"{name}: entry {position} must be an address or a network such as 10.0.0.0/8"
            ) from None
    return parse_networks(entries)


def rate(name: str, default: str) -> tuple[int, int]:
    """A rate such as `1000/m` as (requests, seconds). Raises ImproperlyConfigured."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})/([smh])", text(name, default))
    if match is None:
        raise ImproperlyConfigured(f"{name} must be like {default}: a number, /, and s, m or h")
    return int(match[1]), {"s": 1, "m": 60, "h": 3600}[match[2]]


def one_of(name: str, default: str, choices: Sequence[str]) -> str:
    """One of these words. Raises ImproperlyConfigured."""
    value = text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be {' or '.join(choices)}")
    return value


def url(name: str, default: str = "", *, schemes: Sequence[str]) -> str:
    """A URL of one of these schemes, with a host. Raises ImproperlyConfigured."""
    value = text(name, default)
    if not value:
        return value
    parts = split_url(value)
    if parts is None or parts.scheme not in schemes or not parts.hostname:
        raise ImproperlyConfigured(
            f"{name} must be a URL that begins with {' or '.join(f'{s}://' for s in schemes)}"
        )
    return value


def mailbox(name: str, default: str) -> str:
    """A sender such as `FluxiQ <no-reply@example.com>`. Raises ImproperlyConfigured."""
    value = text(name, default)
    if "@" not in parseaddr(value)[1] or not value.isprintable():
        raise ImproperlyConfigured(f"{name} must be like FluxiQ <no-reply@example.com>")
    return value


def split_url(value: str) -> SplitResult | None:
    """The parts of a URL; None for what is none. (The errors of `urlsplit` repeat its parts.)"""
    try:
        parts = urlsplit(value)
        _ = parts.port, parts.hostname
    except ValueError:
        return None
    return parts if value.isprintable() and " " not in value else None
