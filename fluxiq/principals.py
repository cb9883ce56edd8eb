"""Who is calling, and what they may do where. No Django in it.

`Principal` is what `request.auth` is. It is made once per request from a verified credential
and asked by permission classes, querysets and views; it never asks the database.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from fluxiq.scopes import ALL, Permission, expand, first_not_covered, grants


class Kind(StrEnum):
    """The two kinds of caller, as named on the wire."""

    USER = "user"
    API_KEY = "api_key"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a caller holds at one merchant. `permissions` stand as granted, wildcards kept."""

    merchant_id: str
    merchant_name: str
    role: str | None
    permissions: tuple[str, ...]
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller: a user (through a session) or an API key."""

    kind: Kind
    id: str
    name: str
    grants: tuple[Grant, ...] = ()
    is_superuser: bool = False
    session_id: str | None = None
    rate_limit: int | None = None
    service_permissions: tuple[str, ...] = ()
    _by_merchant: dict[str, Grant] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_merchant", {g.merchant_id: g for g in self.grants})

    @property
    def is_user(self) -> bool:
        """Whether this caller is a person with a session, not a key."""
        return self.kind is Kind.USER

    @property
    def is_service(self) -> bool:
        """Whether this caller is a service key: of no merchant, held by a FluxiQ service."""
        return bool(self.service_permissions)

    def belongs_to(self, merchant_id: str) -> bool:
        """Whether this merchant exists for the caller at all (else it is a 404 to them)."""
        return self.is_superuser or merchant_id in self._by_merchant

    def permissions_at(self, merchant_id: str) -> tuple[str, ...]:
        """What is held at that merchant, as granted; nothing where it is suspended."""
        if self.is_superuser:
            return (ALL,)
        grant = self._by_merchant.get(merchant_id)
        return grant.permissions if grant is not None and not grant.suspended else ()

    def holds(self, permission: Permission, merchant_id: str) -> bool:
        """Whether the permission is held at that merchant."""
        return grants(self.permissions_at(merchant_id), permission)

    def holds_anywhere(self, permission: Permission) -> bool:
        """Whether the permission is held at one merchant or more."""
        if self.is_superuser:
            return grants((ALL,), permission)
        return any(grants(g.permissions, permission) for g in self.grants if not g.suspended)

    def merchants_with(self, permissions: Iterable[str]) -> list[str]:
        """The merchants where all of these permissions are held; a superuser's are not listed."""
        wanted = tuple(permissions)
        return [
            g.merchant_id
            for g in self.grants
            if not g.suspended and all(grants(g.permissions, p) for p in wanted)
        ]

    def held_at_every(self, merchant_ids: Sequence[str]) -> tuple[str, ...]:
        """The exact permissions held at all of these merchants, in catalogue order."""
        if self.is_superuser:
            return expand((ALL,))
        if not merchant_ids:
            return expand(self.service_permissions)
        common = expand(self.permissions_at(merchant_ids[0]))
        for merchant_id in merchant_ids[1:]:
            held = self.permissions_at(merchant_id)
            common = tuple(p for p in common if grants(held, p))
        return common

    def first_missing(self, wanted: Iterable[str], merchant_id: str) -> str | None:
        """The first of these granted-style permissions not wholly held there, else None."""
        return first_not_covered(self.permissions_at(merchant_id), wanted)


# FluxiQ itself, for commands: whoever may run one on the server may do all that it does.
PLATFORM = Principal(Kind.USER, "", "FluxiQ", is_superuser=True)
