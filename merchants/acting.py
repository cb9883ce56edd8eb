"""Writing at a merchant: its row locked, and the caller judged again as they are then."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from fluxiq.principals import Principal
from fluxiq.reauthentication import reauthenticate
from fluxiq.scopes import Permission
from merchants.models import Merchant, require


@contextmanager
def acting_at(
    merchant_id: str, principal: Principal, permission: Permission | None = None
) -> Iterator[tuple[Merchant, Principal]]:
    """A transaction in which the caller holds the permission at the merchant until its end.

    Gives the merchant and the caller as the database has them now. Roles, suspensions and
    credentials change under the same locks, in the same order: the merchant's row, then the
    credential's. Raises NotFound or Forbidden as `require` does, and Unauthorized for a credential
    that ended.
    """
    if permission is not None:
        require(principal, permission, merchant_id)  # refused without a lock
    with transaction.atomic():
        merchant = Merchant.objects.lock(merchant_id)
        now = reauthenticate(principal)
        if permission is not None:
            require(now, permission, merchant_id)
        yield merchant, now
