"""The rules of a session: start, rotate, end. Contract, section 6.

A session points at its current refresh token. Rotation is one conditional UPDATE of that
pointer, so that of many concurrent uses of one token exactly one makes a successor; the others
find it made, and are given the same one. No token is stored: a successor is minted again from
its id and times.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.sessions.models import Session as StaffSession
from django.db import transaction
from django.utils import timezone
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from accounts.models import User
from authn import notices, rotation
from authn.models import Session
from authn.tokens import ACCESS_LIFETIME, REFRESH_LIFETIME, AccessToken, RefreshToken, new_jti
from fluxiq import metrics, origin
from fluxiq.audit import models as audit
from fluxiq.errors import Unauthorized
from fluxiq.metrics.families import REFRESHES, SIGN_INS

logger = logging.getLogger(__name__)

BATCH = 500  # sessions that end in one transaction, where all do


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a sign-in and a refresh answer. `expires_in` is the access token's, in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105 - the name of the scheme


@dataclass(frozen=True, slots=True)
class Presented:
    """An authentic, unexpired refresh token, and the live session that it belongs to."""

    jti: str
    session: Session


def _whole_second() -> datetime:
    """Now, as `iat` can hold it: a token minted again must come out the same."""
    return timezone.now().replace(microsecond=0)


def _outstanding(user_id: str, issued_at: datetime, expires_at: datetime) -> OutstandingToken:
    """Simplejwt's record of a refresh token, to be saved; the token itself is stored nowhere."""
    return OutstandingToken(
        user_id=user_id, jti=new_jti(), token="", created_at=issued_at, expires_at=expires_at
    )


def _pair(session: Session) -> TokenPair:
    """A fresh access token, and the current refresh token minted (again) from its record."""
    current = session.current
    if current is None or current.created_at is None:
        raise Unauthorized
    refresh = RefreshToken()
    refresh.bind(
        session_id=session.id,
        user_id=session.user_id,
        jti=current.jti,
        issued_at=current.created_at,
        expires_at=current.expires_at,
    )
    now = _whole_second()
    expires_at = min(now + ACCESS_LIFETIME, session.must_end_by)
    access = AccessToken()
    access.bind(
        session_id=session.id,
        user_id=session.user_id,
        jti=new_jti(),
        issued_at=now,
        expires_at=expires_at,
    )
    return TokenPair(str(access), str(refresh), int((expires_at - now).total_seconds()))


@transaction.atomic
def start(user: User, second_factor: str = "") -> TokenPair:
    """Sign a user in: a new session, and its first pair of tokens.

    `second_factor` is what was proved beside the password (`SecondFactor`), if anything.
    """
    now = _whole_second()
    source = origin.current()
    session = Session(
        user=user,
        created_at=now,
        last_used_at=now,
        address=source.address,
        user_agent=source.user_agent,
        second_factor=second_factor,
    )
    session.expires_at = min(now + REFRESH_LIFETIME, session.must_end_by)
    session.current = _outstanding(user.id, now, session.expires_at)
    session.current.save(force_insert=True)
    session.save(force_insert=True)
    audit.record(
        audit.Kind.SESSION_STARTED,
        object_id=session.id,
        after={"user_id": user.id, "second_factor": second_factor},
        actor=("user", user.id),
    )
    metrics.add(SIGN_INS, "succeeded")
    return _pair(session)


def present(encoded: str) -> Presented:
    """The session that a refresh token continues. Raises Unauthorized for any fault of it."""
    try:
        token = RefreshToken(encoded)  # type: ignore[arg-type]
    except TokenError as error:
        metrics.add(REFRESHES, "refused")
        raise Unauthorized from error
    session = _live(token.session_id)
    if session is None or session.user_id != token.user_id:
        metrics.add(REFRESHES, "refused")
        raise Unauthorized
    return Presented(token.jti, session)


def _live(session_id: str) -> Session | None:
    return Session.objects.live().select_related("current").filter(pk=session_id).first()


def rotate(presented: Presented) -> TokenPair:
    """Continue the session with a new refresh token, and retire the one presented.

    Concurrent uses, and a use within REFRESH_REUSE_SECONDS whose successor was not itself
    presented (a lost response), get the same successor. Any other use of a retired token is
    theft by one of two holders, and ends the session for both. Raises Unauthorized.
    """
    session: Session | None = presented.session
    current = presented.session.current
    if current is not None and current.jti == presented.jti:
        if _advance(presented.session, current):
            metrics.add(REFRESHES, "rotated")
            return _pair(presented.session)
        session = _live(presented.session.id)
    if session is None:
        metrics.add(REFRESHES, "refused")
        raise Unauthorized
    if _is_lost_response(session, presented.jti):
        metrics.add(REFRESHES, "repeated")
        return _pair(session)
    metrics.add(REFRESHES, "reused")
    _end_for_reuse(session)
    raise Unauthorized


def _advance(session: Session, retired: OutstandingToken) -> bool:
    """Compare and swap: point at a new token if the session still points at the one presented."""
    now = timezone.now()
    issued_at = now.replace(microsecond=0)
    expires_at = min(issued_at + REFRESH_LIFETIME, session.must_end_by)
    successor = _outstanding(session.user_id, issued_at, expires_at)
    if not rotation.swap(session.id, retired, successor, now):
        return False
    session.current, session.expires_at = successor, expires_at
    return True


def _is_lost_response(session: Session, jti: str) -> bool:
    window = timedelta(seconds=settings.REFRESH_REUSE_SECONDS)
    return (
        session.retired_jti == jti
        and session.rotated_at is not None
        and timezone.now() - session.rotated_at <= window
    )


@transaction.atomic
def _end_for_reuse(session: Session) -> None:
    """Committed before the refusal is raised: an exception inside would undo it."""
    if Session.objects.filter(pk=session.pk).end("refresh token reused"):
        audit.record(
            audit.Kind.SESSION_REUSE_DETECTED,
            object_id=session.id,
            after={"user_id": session.user_id, "signed_in_from": session.address},
        )
        notices.session_reused(session)
        source = origin.current()
        logger.warning(
            "refresh token of %s reused from %s with %r: session ended",
            session.id,
            source.address,
            source.user_agent,
        )


def end_by_access_token(encoded: str) -> None:
    """Log out. An authentic token of any age serves, and of a session that ended already.

    Raises Unauthorized for one that is not ours.
    """
    try:
        token = AccessToken.authentic(encoded)
    except TokenError as error:
        raise Unauthorized from error
    Session.objects.filter(pk=token.session_id, user_id=token.user_id).end("logged out")


def lock_own(user_id: str, session_id: str | None) -> User:
    """The user of a session, both locked: what somebody does about themselves begins with it.

    Without a session the user is at the staff console. Raises Unauthorized where it is over.
    """
    user = User.objects.lock(user_id)
    if session_id is not None:
        Session.objects.reauthenticate(user_id, session_id)
    return user


@transaction.atomic
def end_own(user_id: str, session_id: str | None, reason: str, *, chosen: str | None = None) -> int:
    """End all sessions of a user, or the chosen one, as one of them asks. Returns how many.

    Raises Unauthorized where the session that asks is over.
    """
    user = lock_own(user_id, session_id)
    if chosen is None:
        return end_all(user, reason)
    return Session.objects.live().filter(user_id=user_id, pk=chosen).end(reason)


@transaction.atomic
def end_all(user: User, reason: str, *, except_session: str | None = None) -> int:
    """End every session of a user, but one where that is asked for. Returns how many ended.

    The console's sessions, its pending sign-ins and the API's challenges end too: those that hold
    the user's session auth hash of before (`User.begin_session_epoch`).
    """
    user.begin_session_epoch()
    return user.sessions.exclude(pk=except_session).end(reason)


@transaction.atomic
def sign_out(user: User, reason: str) -> int:
    """`end_all`, for staff and commands: in the trail even if no session of the API ends."""
    audit.record(
        audit.Kind.STAFF_ACTION,
        object_id=user.id,
        after={"ended": "all sessions", "reason": reason},
    )
    return end_all(user, reason)


def end_everybodys(reason: str) -> tuple[int, int]:
    """End every session of everybody, a batch at a time, the staff console's too.

    Whoever has begun to sign in begins again: each user's epoch goes first. Returns how many ended:
    (API sessions, sessions of the console, of people who signed in or were about to).
    """
    User.objects.begin_session_epochs(BATCH)
    ended = 0
    while batch := list(Session.objects.live().order_by("pk").values_list("pk", flat=True)[:BATCH]):
        ended += Session.objects.filter(pk__in=batch).end(reason)
    at_the_console, _ = StaffSession.objects.all().delete()
    return ended, at_the_console
