"""Permissions, roles and how a wildcard grants. No Django in it.

A permission is `resource:action`; what is *granted* may also be `resource:*` or `*`.
Source: authentication document, "Permissions (RBAC)", and the contract, section 2.
"""

from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache

ALL = "*"


class Scope(StrEnum):
    """What can be granted to an API key. Named RESOURCE_ACTION, worth `resource:action`."""

    ACCOUNTS_READ = "accounts:read"
    ACCOUNTS_WRITE = "accounts:write"
    PIX_READ = "pix:read"
    PIX_WRITE = "pix:write"
    TRANSFERS_READ = "transfers:read"
    TRANSFERS_WRITE = "transfers:write"
    TRANSACTIONS_READ = "transactions:read"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"


class Reserved(StrEnum):
    """Permissions that only `*` covers and that no key can hold: keys never manage keys."""

    API_KEYS_READ = "api_keys:read"
    API_KEYS_WRITE = "api_keys:write"
    AUDIT_READ = "audit:read"


class ServiceScope(StrEnum):
    """What a service key holds; it belongs to no merchant and to no role."""

    TOKENS_INTROSPECT = "tokens:introspect"


Permission = Scope | Reserved | ServiceScope

DESCRIPTIONS: dict[Scope, str] = {
    Scope.ACCOUNTS_READ: "View account balances and details",
    Scope.ACCOUNTS_WRITE: "Create and update accounts",
    Scope.PIX_READ: "View PIX transactions",
    Scope.PIX_WRITE: "Send and receive PIX payments",
    Scope.TRANSFERS_READ: "View internal transfers",
    Scope.TRANSFERS_WRITE: "Execute internal transfers",
    Scope.TRANSACTIONS_READ: "View transactions",
    Scope.WEBHOOKS_READ: "View webhook configurations",
    Scope.WEBHOOKS_WRITE: "Create and manage webhooks",
    Scope.USERS_READ: "View user profiles",
    Scope.USERS_WRITE: "Manage user accounts",
}

_MERCHANT_PERMISSIONS: tuple[str, ...] = (*Scope, *Reserved)
_GRANTABLE = frozenset(str(s) for s in Scope)
_OF_SERVICES = frozenset(str(s) for s in ServiceScope)
_KNOWN = frozenset((*_MERCHANT_PERMISSIONS, *ServiceScope))


class Role(StrEnum):
    """A user's part at one merchant."""

    OWNER = "owner"
    MANAGER = "manager"
    OPERATOR = "operator"


_ROLE_PERMISSIONS: dict[str, tuple[str, ...]] = {
    Role.OWNER: (ALL,),
    Role.MANAGER: ("accounts:*", Scope.TRANSACTIONS_READ, "pix:*"),
    Role.OPERATOR: (Scope.ACCOUNTS_READ, Scope.TRANSACTIONS_READ, Scope.PIX_WRITE),
}


def permissions_of(role: str) -> tuple[str, ...]:
    """The permissions of a role as granted (wildcards kept); an unknown role grants nothing."""
    return tuple(str(p) for p in _ROLE_PERMISSIONS.get(role, ()))


def is_known(permission: str) -> bool:
    """Whether this is the exact name of a permission that can be asked for (no wildcard)."""
    return permission in _KNOWN


def grants(granted: Iterable[str], permission: str) -> bool:
    """Whether `granted` covers `permission`.

    `resource:*` covers the catalogue's scopes of exactly that resource; `*` covers everything
    at a merchant, and so not what service keys hold.
    """
    return _grants(tuple(granted), permission)


@lru_cache(maxsize=4096)
def _grants(granted: tuple[str, ...], permission: str) -> bool:
    covering = {permission}
    if permission not in _OF_SERVICES:
        covering.add(ALL)
    if permission in _GRANTABLE:
        covering.add(permission.partition(":")[0] + ":*")
    return any(g in covering for g in granted)


def expand(granted: Iterable[str]) -> tuple[str, ...]:
    """The exact permissions that `granted` covers at a merchant, in catalogue order.

    Service scopes are listed only where granted by name: no wildcard reaches them.
    """
    return _expand(tuple(granted))


@lru_cache(maxsize=1024)
def _expand(granted: tuple[str, ...]) -> tuple[str, ...]:
    return (
        *(p for p in _MERCHANT_PERMISSIONS if grants(granted, p)),
        *(p for p in ServiceScope if p in granted),
    )


def first_not_covered(granted: Iterable[str], wanted: Iterable[str]) -> str | None:
    """The first permission of `wanted` that `granted` does not wholly cover, else None.

    A wanted `resource:*` is covered by itself, by `*`, or by every catalogue scope of that
    resource; what is missing is then named exactly. A wanted `*` is covered by `*` alone.
    """
    held = tuple(granted)
    for want in wanted:
        resource, _, action = want.partition(":")
        scopes = [s for s in Scope if s.startswith(f"{resource}:")] if action == ALL else []
        missing = next((s for s in scopes or (want,) if not grants(held, s)), None)
        if missing is not None:
            return str(missing)
    return None
