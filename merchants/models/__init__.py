"""Merchants, memberships and payment accounts."""

from merchants.models.membership import Membership
from merchants.models.merchant import (
    Merchant,
    forbid_escalation,
    merchants_listed,
    only_merchant,
    require,
)
from merchants.models.payment_account import PaymentAccount

__all__ = [
    "Membership",
    "Merchant",
    "PaymentAccount",
    "forbid_escalation",
    "merchants_listed",
    "only_merchant",
    "require",
]
