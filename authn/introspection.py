"""What a credential is worth, told to who may know: RFC 7662, and RFC 7009's revocation."""

from contextlib import suppress
from typing import Any

from django.conf import settings
from rest_framework_simplejwt.exceptions import TokenError

from authn import keys
from authn.models import ApiKey, Session
from authn.tokens import AccessToken, RefreshToken
from fluxiq.principals import Principal
from fluxiq.scopes import ALL

INACTIVE: dict[str, Any] = {"active": False}


def introspect(token: str, caller: Principal) -> dict[str, Any]:
    """The RFC 7662 object of a token, or `{"active": false}` alone.

    Inactive is anything dead or unknown, a refresh token, and what is not the caller's own
    unless the caller is a service key.
    """
    found = _api_key(token) if token.startswith(keys.MARKER) else _access_token(token)
    if found is None:
        return INACTIVE
    principal, times = found
    if not (caller.is_service or principal.id == caller.id):
        return INACTIVE
    merchant_ids = [ALL] if principal.is_superuser else principal.merchants_with(())
    return {
        "active": True,
        "sub": principal.id,
        "scope": " ".join(principal.held_at_every(merchant_ids)),
        "token_type": "Bearer",
        **times,
        "kind": principal.kind.value,
        "merchant_ids": merchant_ids,
    }


def _api_key(secret: str) -> tuple[Principal, dict[str, int]] | None:
    api_key = ApiKey.objects.opened_by(secret)
    if api_key is None or not api_key.is_live:
        return None
    if api_key.merchant is not None and api_key.merchant.is_suspended:
        return None
    times = {"iat": int(api_key.created_at.timestamp())}
    ends = [end for end in (api_key.expires_at, api_key.revoked_at) if end is not None]
    if ends:
        times["exp"] = int(min(ends).timestamp())
    return api_key.principal(), times


def _access_token(encoded: str) -> tuple[Principal, dict[str, int]] | None:
    try:
        token = AccessToken(encoded)  # type: ignore[arg-type]
    except TokenError:
        return None
    session = Session.objects.live_of(token.user_id, token.session_id)
    if session is None:
        return None
    return session.principal(), {"iat": token.payload["iat"], "exp": token.payload["exp"]}


def revoke(token: str) -> None:
    """End what the holder of a token can prove to hold: the key, or the session. Else nothing.

    Nothing is told of what was found (RFC 7009, section 2.2).
    """
    if token.startswith(keys.MARKER):
        if keys.is_well_formed(token, settings.FLUXIQ_ENVIRONMENT):
            api_key = ApiKey.objects.opened_by(token)
            if api_key is not None:
                api_key.revoke("revoked by its holder")
        return
    session_id = _session_of(token)
    if session_id is not None:
        Session.objects.filter(pk=session_id).end("revoked by its holder")


def _session_of(encoded: str) -> str | None:
    for read in (AccessToken.authentic, RefreshToken):
        with suppress(TokenError):  # it may be a token of the other kind
            return read(encoded).session_id  # type: ignore[arg-type]
    return None
