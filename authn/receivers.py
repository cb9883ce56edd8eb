"""What the lower floors tell by signal, and what follows for credentials."""

from itertools import islice
from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from accounts.models import User
from accounts.signals import access_withdrawn
from authn import remembered, sessions, throttle
from authn.models import ApiKey, Session
from merchants.models import Membership, Merchant
from merchants.signals import (
    grants_changed,
    invitation_mailed,
    merchant_changed,
    second_factor_required,
)

BATCH = 500


@receiver(access_withdrawn)
def end_sessions(sender: type[User], user: User, reason: str, **kwargs: Any) -> None:
    """End the sessions of a user who is shut out, in the transaction that did it."""
    sessions.end_all(user, reason)


@receiver(grants_changed)
def forget_grants(sender: type[Membership], user_id: str | None, **kwargs: Any) -> None:
    """Forget what a user may do. (Who is only invited has no user, and nothing to forget.)"""
    if user_id is not None:
        remembered.forget(remembered.user_name(user_id))


@receiver(post_save, sender=User)
def forget_user(sender: type[User], instance: User, created: bool, **kwargs: Any) -> None:
    """Forget the name and the flags of a user who was saved."""
    if not created:
        remembered.forget(remembered.user_name(instance.pk))


@receiver(merchant_changed)
def forget_merchant(sender: type[Merchant], merchant_id: str, **kwargs: Any) -> None:
    """Forget every key and every member of a merchant, as they stand once it is committed."""

    def bury() -> None:
        api_keys = ApiKey.objects.filter(merchant_id=merchant_id).values_list("pk", flat=True)
        members = Membership.objects.filter(merchant_id=merchant_id, user__isnull=False)
        names = map(remembered.key_name, api_keys.iterator())
        while batch := list(islice(names, BATCH)):
            remembered.bury(batch)
        remembered.bury([remembered.user_name(m) for m in members.values_list("user", flat=True)])

    remembered.after_commit(bury)


@receiver(post_save, sender=Merchant)
def forget_saved_merchant(
    sender: type[Merchant], instance: Merchant, created: bool, **kwargs: Any
) -> None:
    """Forget the name of a merchant that was saved."""
    if not created:
        forget_merchant(sender, merchant_id=instance.pk)


@receiver(second_factor_required)
def end_sessions_without_second_factor(
    sender: type[Merchant], merchant_id: str, **kwargs: Any
) -> None:
    """End the sessions of the members who have none, in the transaction that requires it."""
    members = Membership.objects.in_force().filter(merchant_id=merchant_id)
    without = members.without_second_factor().values("user_id")
    Session.objects.filter(user_id__in=without).end("second factor required by a merchant")


@receiver(invitation_mailed)
def bound_invitation_mails(sender: type[Membership], address: str, **kwargs: Any) -> None:
    """Refuse what floods a mailbox. Raises RateLimited, which undoes the invitation."""
    throttle.count_invitation_mail(address)
