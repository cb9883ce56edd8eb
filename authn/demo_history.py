"""A month in the life of the demo, so that every page of the staff console has something to show.

Names, counts and times of day are the same at each making; they end at the hour it is made in. The
keys' secrets are thrown away, and nobody holds a token of the sessions: nothing of it lets anybody
in. Whoever is written here has a password that cannot be used.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from authn.demo_month import Month
from authn.demo_stories import (
    BAKERY,
    MARKET,
    MEMBERS,
    MERCHANT_DOCUMENT,
    MERCHANT_NAME,
    SERVICE,
    STAFF,
)
from fluxiq.scopes import Role
from merchants.models import Membership, Merchant, PaymentAccount


@transaction.atomic
def write(merchant: Merchant, people: Sequence[User], superuser: User) -> bool:
    """Write the month of the demo's merchant and of a second one, unless that was done before.

    `people` are the merchant's, its owner first. Returns whether it was written here.
    """
    if Merchant.objects.filter(document=MERCHANT_DOCUMENT).exists():
        return False
    market = Merchant.objects.create(
        name=MERCHANT_NAME, document=MERCHANT_DOCUMENT, created_at=_long_ago()
    )
    for name in ("Sales", "Suppliers"):
        PaymentAccount.objects.open(market, name)
    members = [_member(market, role, *who) for role, who in MEMBERS.items()]
    staff = [_staff(group, *who) for group, who in STAFF.items()]
    Month().write(
        [(merchant, people, BAKERY), (market, members, MARKET), (None, [superuser], (SERVICE,))],
        [superuser, *staff],
    )
    return True


def _long_ago() -> datetime:
    return timezone.now() - timedelta(days=400)


def _user(name: str, document: str, **fields: Any) -> tuple[User, bool]:
    """The user of that document, made without a password where there is none, and whether it was.

    Made past the trail: they are told to be there since before it begins.
    """
    found = User.objects.for_document(document)
    if found is None:
        found = User(document=document, name=name, created_at=_long_ago(), **fields)
        found.set_unusable_password()
        User.objects.bulk_create([found])
        return found, True
    return found, False


def _member(merchant: Merchant, role: Role, name: str, document: str) -> User:
    user, is_new = _user(name, document)
    if is_new:  # one who exists would have to be invited
        Membership.objects.create(
            merchant=merchant,
            user=user,
            document=document,
            name=name,
            role=role,
            status=Membership.Status.ACTIVE,
            created_at=_long_ago(),
        )
    return user


def _staff(group: str, name: str, document: str) -> User:
    user, _ = _user(name, document, is_staff=True)
    user.groups.add(*Group.objects.filter(name=group))
    return user
