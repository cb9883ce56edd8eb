"""Who needs a second factor: the settings' superusers and staff, and merchants that require it."""

from django.conf import settings

from accounts.models import User
from fluxiq.errors import Conflict
from merchants.models import Membership, Merchant

ENROL_FIRST = "Enrol a second factor of your own first"


def superuser_lacks_factor(user: User) -> bool:
    """Whether a superuser's rights are held back from this user, for want of a second factor."""
    return bool(settings.MFA_REQUIRED_FOR_SUPERUSERS) and not user.has_second_factor


def may_not_sign_in_without(user: User) -> bool:
    """Whether this user has to enrol, at the staff sign-in, before they get tokens."""
    return user.is_superuser and superuser_lacks_factor(user)


def staff_lacks_factor(user: User) -> bool:
    """Whether this member of staff has to enrol before any page of the console: as all staff, or
    as a superuser, who gets no tokens of the API without, and can enrol nowhere else."""
    if may_not_sign_in_without(user):
        return True
    return bool(settings.MFA_REQUIRED_FOR_STAFF) and not user.has_second_factor


def lacks_factor_at(user: User, merchant: Merchant) -> bool:
    """Whether this user holds nothing at the merchant, for want of a second factor."""
    return merchant.require_mfa and not user.has_second_factor


def require_at(merchant: Merchant, required: bool, by: User) -> None:
    """Whether the merchant requires a second factor from now on, as one of its owners has it.

    Raises Conflict for an owner who has none: they would shut themselves out.
    """
    if required and not by.has_second_factor:
        raise Conflict(ENROL_FIRST)
    merchant.set_require_mfa(required)


def is_required_of(user: User) -> bool:
    """Whether anything would be out of this user's reach without a second factor.

    One query, where the settings do not say so already.
    """
    if user.is_superuser and settings.MFA_REQUIRED_FOR_SUPERUSERS:
        return True
    if user.is_staff and settings.MFA_REQUIRED_FOR_STAFF:
        return True
    return Membership.objects.in_force().filter(user=user, merchant__require_mfa=True).exists()
