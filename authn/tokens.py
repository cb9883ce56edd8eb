"""simplejwt's access and refresh tokens, bound to a session and to the key ring."""

import secrets
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from rest_framework_simplejwt import tokens as simplejwt
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenError
from rest_framework_simplejwt.utils import datetime_to_epoch

from authn.signing import LEEWAY_SECONDS, RingTokenBackend

ACCESS_LIFETIME = timedelta(seconds=settings.ACCESS_TOKEN_SECONDS)
MAX_VERIFIED = 4096  # tokens kept by each process, of about 1 KiB each
REFRESH_LIFETIME = timedelta(seconds=settings.REFRESH_TOKEN_SECONDS)


def new_jti() -> str:
    """A fresh token id, 128 random bits."""
    return secrets.token_hex(16)


class SessionTokenMixin:
    """What both kinds share: claims of a session, and lifetimes cut to its end."""

    payload: dict[str, Any]

    @property
    def session_id(self) -> str:
        """The session that the token belongs to."""
        return str(self.payload["sid"])

    @property
    def user_id(self) -> str:
        """The user that the token speaks for."""
        return str(self.payload["sub"])

    @property
    def jti(self) -> str:
        """The id of the token."""
        return str(self.payload["jti"])

    def bind(
        self, *, session_id: str, user_id: str, jti: str, issued_at: datetime, expires_at: datetime
    ) -> None:
        """Set the claims of a new token."""
        self.payload.update(
            sub=user_id,
            sid=session_id,
            jti=jti,
            iat=datetime_to_epoch(issued_at),
            exp=datetime_to_epoch(expires_at),
        )


class AccessToken(SessionTokenMixin, simplejwt.AccessToken):
    """A short-lived token for the API (RFC 9068's `at+jwt`)."""

    lifetime = ACCESS_LIFETIME
    _token_backend = RingTokenBackend(typ="at+jwt", audience="fluxiq")

    @classmethod
    def authentic(cls, token: str) -> "AccessToken":
        """The token, were it expired. Raises TokenError unless it is ours and unchanged."""
        try:
            claims = cls._token_backend.decode(token, verify=False)
        except TokenBackendError as error:
            raise TokenError(str(error)) from error
        found = cls()
        found.payload = claims
        found.verify_token_type()
        return found


@dataclass(frozen=True, slots=True)
class VerifiedAccess:
    """What an authentic access token says, as far as a request asks."""

    user_id: str
    session_id: str
    expires_at: int


def verified_access(encoded: str) -> VerifiedAccess:
    """What an access token says. Raises TokenError unless it is ours and not expired.

    That it is authentic is remembered for a while; its expiry is asked each time, and whether its
    session goes on is for the caller to ask.
    """
    verified = _authentic(encoded, settings.JWT_SIGNING_KEYS)
    if verified.expires_at <= time.time() - LEEWAY_SECONDS:
        raise TokenError("Token is expired")
    return verified


@lru_cache(maxsize=MAX_VERIFIED)
def _authentic(encoded: str, ring: str) -> VerifiedAccess:
    """Kept by token and ring: under another ring it is verified anew."""
    token = AccessToken.authentic(encoded)
    return VerifiedAccess(token.user_id, token.session_id, token.payload["exp"])


class RefreshToken(SessionTokenMixin, simplejwt.RefreshToken):  # type: ignore[misc]
    """The token that a session is continued with; the blacklist knows the retired ones."""

    lifetime = REFRESH_LIFETIME
    access_token_class = AccessToken
    _token_backend = RingTokenBackend(typ="rt+jwt", audience="fluxiq/refresh")

    def check_blacklist(self) -> None:
        """Nothing here: `sessions.rotate` judges a retired token in the transaction that could
        retire it, since what to answer depends on who retired it and when."""
