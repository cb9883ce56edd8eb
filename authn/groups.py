"""The groups that staff begin with: each may do what its work needs, and no more.

They are made once, after the migrations; what superusers change about them afterwards stays.
"""

from typing import Any

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import transaction

_LOOK = (
    "accounts.view_user",
    "authn.view_apikey",
    "authn.view_session",
    "merchants.view_membership",
    "merchants.view_merchant",
    "merchants.view_paymentaccount",
)

GROUPS: dict[str, tuple[str, ...]] = {
    # Answers people's questions, and ends a session that is not theirs.
    "support": (*_LOOK, "authn.change_session"),
    # Issues, rotates and revokes keys, deactivates people, and follows the trail.
    "security": (
        *_LOOK,
        "accounts.add_user",
        "accounts.change_user",
        "audit.view_auditevent",
        "authn.add_apikey",
        "authn.change_apikey",
        "authn.change_session",
    ),
    # Sees all, changes nothing.
    "auditor": (*_LOOK, "audit.view_auditevent", "auth.view_group"),
}


@transaction.atomic
def make_missing(**signal: Any) -> None:
    """Make those of the groups that there are not, with their permissions. (On post_migrate.)"""
    there = set(Group.objects.values_list("name", flat=True))
    missing = {name: wanted for name, wanted in GROUPS.items() if name not in there}
    if not missing:
        return
    # Django makes the permissions of each app on the same signal, of some after this.
    for label in {permission.partition(".")[0] for p in missing.values() for permission in p}:
        create_permissions(apps.get_app_config(label), verbosity=0, using=signal["using"])
    for name, wanted in missing.items():
        group = Group.objects.create(name=name)
        for permission in wanted:
            label, _, codename = permission.partition(".")
            group.permissions.add(
                Permission.objects.get(content_type__app_label=label, codename=codename)
            )
