"""Who is calling: an API key or an access token in the Authorization header.

Two classes verify, each answering (user, Principal); the middleware asks them once per request,
because it must know the caller before it counts, and DRF's own turn comes too late for that. A
third hands its finding to DRF.
"""

import re
import time
from typing import Any, cast

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import TokenError

from accounts.models import User
from authn import keys, remembered, unchanged
from authn.models import ApiKey, Session
from authn.peppers import digest_of, learn_id
from authn.tokens import verified_access
from fluxiq import origin
from fluxiq.errors import Unauthorized
from fluxiq.principals import Kind, Principal

Verified = tuple[User | AnonymousUser, Principal]

# RFC 6750, section 2.1: the scheme in any case (RFC 9110, section 11.1), one space, a b64token.
_BEARER = re.compile(r"bearer ([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)


def bearer(request: HttpRequest) -> str | None:
    """The credential of the Authorization header, or None without one.

    Raises Unauthorized for a header of another form; two headers arrive joined by a comma.
    """
    header = request.META.get("HTTP_AUTHORIZATION")
    if header is None:
        return None
    credential = b64token(header)
    if credential is None:
        raise Unauthorized
    return credential


def b64token(header: str) -> str | None:
    """The credential in the value of an Authorization header, or None in one of another form."""
    match = _BEARER.fullmatch(header)
    return match.group(1) if match is not None else None


def user_when_asked(user_id: str) -> User:
    """The user, read once something is asked of it: most requests ask the principal alone."""
    return cast(User, SimpleLazyObject(lambda: User.objects.get(pk=user_id)))


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer sk_live_…`."""

    def authenticate(self, request: Any) -> Verified | None:
        """The key's principal; None for what is no key. Raises Unauthorized for a bad one."""
        credential = bearer(request)
        if credential is None or not credential.startswith(keys.MARKER):
            return None
        began, stamp, digest = time.monotonic(), unchanged.stamp(), digest_of(credential)
        known = unchanged.recall(digest, stamp)
        if known is not None:
            return AnonymousUser(), known
        api_key = ApiKey.objects.verify(credential, request.address)
        if api_key is None:
            raise Unauthorized
        learn_id(digest, api_key.id)
        principal = api_key.principal()
        if not api_key.allowed_ips:  # keys with an IP allowlist are never cached
            until = api_key.ends_at.timestamp() if api_key.ends_at else None
            entry = remembered.write_key(principal, until)
            remembered.remember({remembered.key_name(api_key.id): entry}, began, until)
            unchanged.keep(digest, stamp, principal, until)
        return AnonymousUser(), principal

    def authenticate_header(self, request: Request) -> str:
        """Defined, so that no credential means 401 and not 403."""
        return "Bearer"


class AccessTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer eyJ…`, an access token of a live session."""

    def authenticate(self, request: Any) -> Verified | None:
        """The user and what they may do. Raises Unauthorized for a token that is not good."""
        credential = bearer(request)
        if credential is None or credential.startswith(keys.MARKER):
            return None
        try:
            token = verified_access(credential)
        except TokenError as error:
            raise Unauthorized from error
        began, stamp = time.monotonic(), unchanged.stamp()
        name = f"{token.user_id} {token.session_id}"
        known = unchanged.recall(name, stamp)
        if known is not None:
            return user_when_asked(known.id), known
        session = Session.objects.live_of(token.user_id, token.session_id)
        if session is None:
            raise Unauthorized
        principal, until = session.principal(), session.expires_at.timestamp()
        entries = {
            remembered.session_name(principal.id, session.id): str(until),
            remembered.user_name(principal.id): remembered.write_user(principal),
        }
        remembered.remember(entries, began, until)
        unchanged.keep(name, stamp, principal, until)
        return session.user, principal

    def authenticate_header(self, request: Request) -> str:
        """Defined, so that no credential means 401 and not 403."""
        return "Bearer"


VERIFIERS = (ApiKeyAuthentication(), AccessTokenAuthentication())


def verify(request: HttpRequest) -> Verified | None:
    """Ask the verifiers in turn. None without a credential; raises Unauthorized for a bad one."""
    for verifier in VERIFIERS:
        verified = verifier.authenticate(request)
        if verified is not None:
            return verified
    return None


def reauthenticate(principal: Principal) -> Principal:
    """The caller as the database has them now, the row of their credential locked.

    Named by settings.REAUTHENTICATE; in a transaction. Raises Unauthorized for a session or a key
    that ended. Staff at the console act by neither: they come back as they are.
    """
    if principal.kind is Kind.API_KEY:
        return ApiKey.objects.reauthenticate(principal, origin.current().address)
    if principal.session_id is None:
        return principal
    return Session.objects.reauthenticate(principal.id, principal.session_id).principal()


def user_of(request: Request) -> User:
    """The user of a call made with an access token. Raises Unauthorized for any other."""
    if not isinstance(request.user, User):
        raise Unauthorized
    return request.user


class GateAuthentication(BaseAuthentication):
    """DRF's authentication class: hands on what the middleware found."""

    def authenticate(self, request: Request) -> Verified | None:
        """What was verified, or None for a public call. Raises Unauthorized as the gate says."""
        verified: Verified | None = request._request.gate.verified()  # type: ignore[attr-defined]
        return verified

    def authenticate_header(self, request: Request) -> str:
        """Defined, so that no credential means 401 and not 403."""
        return "Bearer"
