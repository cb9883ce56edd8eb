"""Signing in, in one step or two: the password, and the second factor of whoever has one."""

from django.db import transaction

from accounts.models import User
from authn import sessions
from authn.mfa import factors, policy
from authn.models import MfaChallenge, SecondFactor
from authn.models.mfa import CHALLENGE_LIFETIME
from authn.sessions import TokenPair
from fluxiq import metrics
from fluxiq.errors import INVALID_CHALLENGE, INVALID_LOGIN, MfaRequired, Unauthorized
from fluxiq.metrics.families import SIGN_INS


def begin(user: User) -> TokenPair:
    """Go on from a proved password. Raises MfaRequired where it does not do alone.

    What was judged by then is judged again under the lock of the user's row: the password, that the
    user is active, and that there is no second factor. Raises Unauthorized where one of them
    changed meanwhile, so that no session outlives the change that it would contradict.
    """
    if user.has_second_factor:
        metrics.add(SIGN_INS, "second_factor_asked")
        raise MfaRequired(MfaChallenge.objects.issue(user), int(CHALLENGE_LIFETIME.total_seconds()))
    if policy.may_not_sign_in_without(user):
        metrics.add(SIGN_INS, "second_factor_missing")
        raise MfaRequired(None)
    with transaction.atomic():
        found = User.objects.lock_as_proved(user).filter(mfa_enrolled_at__isnull=True).first()
        if found is None or policy.may_not_sign_in_without(found):
            raise Unauthorized(INVALID_LOGIN)
        return sessions.start(found)


def finish(challenge: str, code: str) -> TokenPair:
    """Finish the sign-in that a challenge is of, once.

    Raises RateLimited; Unauthorized, in the same words, for a challenge that is unknown, over or
    spent, or whose password is another now, and for a wrong code, after which it still serves.
    """
    found = MfaChallenge.objects.opened_by(challenge)
    # A dead one is refused before it is an attempt: it must not use up its user's five.
    if found is None or not found.is_of(found.user):
        raise Unauthorized(INVALID_CHALLENGE)

    def sign_in(user: User, proved: SecondFactor) -> TokenPair:
        if not found.is_of(user) or not found.spend():
            raise Unauthorized
        return sessions.start(user, proved)

    try:
        return factors.prove(found.user_id, code, sign_in)
    except Unauthorized as error:
        raise Unauthorized(INVALID_CHALLENGE) from error
