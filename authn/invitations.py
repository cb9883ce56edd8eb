"""Accepting an invitation: who was invited proves it, and sets or proves a password."""

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction

from accounts.models import User
from authn import passwords, refusals, throttle
from fluxiq import metrics
from fluxiq.errors import INVALID_INVITATION, Conflict, Unauthorized
from fluxiq.metrics.families import SIGN_INS
from merchants.models import Membership


def accept(*, invitation: str, document: str, password: str) -> Membership:
    """Bind the membership that the invitation opens to the user of this document.

    An unknown document sets its password here, a known one proves it. Raises ValidationFailed
    for an unfit password, asked of both so that it does not tell them apart; RateLimited;
    Unauthorized with one message for a bad or foreign invitation and for a wrong password.
    """
    passwords.check_new(password, None, "password")
    with refusals.of_sign_in(document), throttle.attempt(document):
        membership = Membership.objects.open_invitation(invitation)
        user = User.objects.for_document(document)
        if membership is None or not membership.is_for(document):
            make_password(password)  # the time that a good invitation costs
            metrics.add(SIGN_INS, "bad_invitation")
            raise Unauthorized(INVALID_INVITATION)
        if user is not None and not user.check_password(password):
            metrics.add(SIGN_INS, "wrong_password")
            raise Unauthorized(INVALID_INVITATION)
        if user is not None and not user.is_active:
            metrics.add(SIGN_INS, "inactive")
            raise Unauthorized(INVALID_INVITATION)
        newcomer = user is None
        if user is None:
            user = User(document=membership.document, name=membership.name)
            user.set_password(password)  # before the transaction: nobody waits for it on a lock
        try:
            with transaction.atomic():
                if newcomer:
                    User.objects.register(user, actor=("user", user.id))
                elif not User.objects.lock_as_proved(user):
                    raise Conflict
                membership.accept(user)
        except (IntegrityError, Conflict) as error:  # spent, registered, or changed meanwhile
            raise Unauthorized(INVALID_INVITATION) from error
    return membership
