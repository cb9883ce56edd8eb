"""Identifiers on the wire: a prefix that names the kind, `_`, and a ULID."""

import re
from datetime import datetime
from enum import StrEnum

from ulid import ULID


class Prefix(StrEnum):
    """The kinds of object that have an identifier."""

    USER = "usr"
    MERCHANT = "mer"
    MEMBERSHIP = "mbr"
    ACCOUNT = "acc"
    API_KEY = "key"
    SESSION = "ses"
    EVENT = "evt"


LENGTH = 30  # three letters, an underscore and the 26 characters of a ULID

_ULID = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"  # Crockford's base32; 128 bits leave the first digit 0-7
_PATTERN = {prefix: re.compile(f"{prefix}_{_ULID}") for prefix in Prefix}


def new(prefix: Prefix, at: datetime | None = None) -> str:
    """A fresh identifier, ordered by its millisecond of creation, or by the moment given."""
    return f"{prefix}_{ULID() if at is None else ULID.from_datetime(at)}"


def first_at(prefix: Prefix, moment: datetime, later: int = 0) -> str:
    """What no identifier of that moment, or so many milliseconds later, is before."""
    milliseconds = max(0, int(moment.timestamp() * 1000) + later)
    return f"{prefix}_{ULID.from_bytes(milliseconds.to_bytes(6, 'big') + bytes(10))}"


def is_valid(prefix: Prefix, value: str) -> bool:
    """Whether `value` could be an identifier of that kind; what could not is not looked up."""
    return _PATTERN[prefix].fullmatch(value) is not None


def is_any(value: str) -> bool:
    """Whether `value` could be an identifier of some kind."""
    return any(pattern.fullmatch(value) for pattern in _PATTERN.values())


def new_user_id() -> str:
    """A fresh `usr_` identifier. (Migrations refer to these functions by name.)"""
    return new(Prefix.USER)


def new_merchant_id() -> str:
    """A fresh `mer_` identifier."""
    return new(Prefix.MERCHANT)


def new_membership_id() -> str:
    """A fresh `mbr_` identifier."""
    return new(Prefix.MEMBERSHIP)


def new_account_id() -> str:
    """A fresh `acc_` identifier."""
    return new(Prefix.ACCOUNT)


def new_api_key_id() -> str:
    """A fresh `key_` identifier."""
    return new(Prefix.API_KEY)


def new_session_id() -> str:
    """A fresh `ses_` identifier."""
    return new(Prefix.SESSION)


def new_event_id() -> str:
    """A fresh `evt_` identifier."""
    return new(Prefix.EVENT)
