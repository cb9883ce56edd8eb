"""Merchants, memberships and payment accounts."""

from merchants.models.membership import OWNER_STAYS, Membership
from merchants.models.merchant import (
    Merchant,
    forbid_granting_beyond,
    merchants_listed,
    only_merchant,
    require,
)
from merchants.models.payment_account import PaymentAccount

__all__ = [
    "OWNER_STAYS",
    "Membership",
    "Merchant",
    "PaymentAccount",
    "forbid_granting_beyond",
    "merchants_listed",
    "only_merchant",
    "require",
]
