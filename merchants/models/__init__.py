"""Merchants, memberships and payment accounts."""

from merchants.models.membership import Membership
from merchants.models.merchant import (
    Merchant,
    forbid_granting_beyond,
    merchants_listed,
    only_merchant,
    require,
)
from merchants.models.payment_account import PaymentAccount

__all__ = [
    "Membership",
    "Merchant",
    "PaymentAccount",
    "forbid_granting_beyond",
    "merchants_listed",
    "only_merchant",
    "require",
]
