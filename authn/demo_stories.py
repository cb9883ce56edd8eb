"""Who and what the demo's month is about: a second merchant, staff, and the keys of both merchants.

A key's story says what became of it, in days from now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fluxiq.scopes import Role, Scope, ServiceScope

MERCHANT_NAME, MERCHANT_DOCUMENT = "Mercado Estrela", "11444777000161"
MEMBERS = {
    Role.OWNER: ("Estela Prado", "98765432100"),
    Role.MANAGER: ("Márcio Leal", "24681357928"),
    Role.OPERATOR: ("Odete Nunes", "13579246828"),
}
STAFF = {
    "support": ("Ravi, of support", "31415926590"),
    "security": ("Selma, of security", "27182818205"),
    "auditor": ("Aldo, the auditor", "16180339805"),
}

DAYS = 30


@dataclass(frozen=True, slots=True)
class Story:
    """What became of one key. Times are days from now: of the past where they say `ago`."""

    name: str
    permissions: Sequence[str]
    made_ago: float
    size: int = 0  # of its use; about as many requests in a quiet hour
    used_from: float = DAYS  # days ago
    used_until: float = 0
    used_ago: float | None = None  # its last use, where that is not told by the counts
    expires_in: float | None = None
    revoked_ago: float | None = None  # below 0: in its grace
    reason: str = ""
    refused: int = 60  # one request in so many
    succeeds: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)


_READ = (Scope.ACCOUNTS_READ, Scope.PIX_READ, Scope.TRANSACTIONS_READ)
_PAY = (*_READ, Scope.PIX_WRITE, Scope.TRANSFERS_WRITE)
BAKERY = (
    Story("Shop", _PAY, 210, size=90),
    Story("Back office", _READ, 353, size=25, expires_in=12),
    Story("Till", _PAY, 95, size=40, used_until=0.4, revoked_ago=-0.6, reason="rotated"),
    Story("Till", _PAY, 0.4, size=45, used_from=0.4, succeeds="Till"),
    Story(
        "Old till",
        _PAY,
        300,
        size=30,
        used_until=4,
        revoked_ago=4,
        reason="the till was stolen",
    ),
    Story("Trial", _READ, 395, used_ago=41, expires_in=-30),
    Story("Accountant", (Scope.TRANSACTIONS_READ,), 365, used_ago=120),
    Story("New website", _PAY, 6),
    Story(
        "Warehouse scanner",
        (Scope.PIX_READ,),
        160,
        size=12,
        refused=6,
        changes={"allowed_ips": ["192.0.2.0/24"], "rate_limit": 300},
    ),
)
MARKET = (
    Story("Checkout", _PAY, 120, size=70),
    Story("Reports", _READ, 60, size=8, refused=9, expires_in=25),
    Story("Webhooks", (Scope.WEBHOOKS_READ, Scope.WEBHOOKS_WRITE), 44),
    Story(
        "Found in a public repository",
        _PAY,
        80,
        size=20,
        used_until=9,
        revoked_ago=9,
        reason="found in a public repository",
    ),
)
SERVICE = Story("Ledger", (ServiceScope.TOKENS_INTROSPECT,), 90, size=150, refused=200)
