"""simplejwt's token backend on the ring of signing keys. No ORM in it.

What a token claims about its key and algorithm only has to agree with the ring (RFC 8725,
sections 3.1 and 3.2). Source: contract, section 6.
"""

import base64
import binascii
import json
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jwt
from jwt.algorithms import get_default_algorithms
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenBackendExpiredToken

from authn.signing_keys import ASYMMETRIC, SigningKey, ring
from fluxiq import ids

ISSUER = "fluxiq"
LEEWAY_SECONDS = 5

_ALGORITHMS = {
    name: algorithm
    for name, algorithm in get_default_algorithms().items()
    if name in ("HS256", *ASYMMETRIC)
}
_MAX_TIMESTAMP = 253_402_300_799  # the last second of the year 9999
_MAX_TOKEN_LENGTH = 4096
_HEADER_MEMBERS = {"alg", "kid", "typ"}
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
# The claims that are text, and whether one could be ours.
_TEXTS: dict[str, Callable[[str], object]] = {
    "jti": re.compile(r"[0-9a-f]{32}").fullmatch,  # authn.tokens.new_jti
    "sub": partial(ids.is_valid, ids.Prefix.USER),
    "sid": partial(ids.is_valid, ids.Prefix.SESSION),
    "token_type": bool,
}


def _decode_segment(segment: str) -> bytes:
    """The bytes of a base64url segment. Raises TokenBackendError unless it is the one
    canonical spelling: unpadded, and with no stray bits in its last character."""
    if _SEGMENT.fullmatch(segment) is None:
        raise TokenBackendError("not base64url")
    try:
        data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except binascii.Error as error:
        raise TokenBackendError("not base64url") from error
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != segment:
        raise TokenBackendError("not canonical base64url")
    return data


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise TokenBackendError("a member stands twice")
    return members


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique_members)
    except (ValueError, RecursionError) as error:
        raise TokenBackendError("not JSON") from error
    if not isinstance(value, dict):
        raise TokenBackendError("not a JSON object")
    return value


def authentic_payload(token: object, key_for: Callable[[Mapping[str, Any]], SigningKey]) -> bytes:
    """The payload of a compact JWS, signed by the key that `key_for` finds for its header.

    Takes one spelling of a token alone (RFC 7515, section 2: base64url without padding).
    Raises TokenBackendError for anything else, and whatever `key_for` raises.
    """
    if not isinstance(token, str) or len(token) > _MAX_TOKEN_LENGTH or not token.isascii():
        raise TokenBackendError("not a token")
    encoded_header, _, rest = token.partition(".")
    encoded_payload, _, encoded_signature = rest.partition(".")
    header = _json_object(_decode_segment(encoded_header))
    payload = _decode_segment(encoded_payload)
    signature = _decode_segment(encoded_signature)
    key = key_for(header)
    signed = f"{encoded_header}.{encoded_payload}".encode()
    if not _ALGORITHMS[key.algorithm].verify(signed, key.public, signature):
        raise TokenBackendError("not signed by the key it names")
    return payload


def _check_claims(claims: Mapping[str, Any], audience: str) -> None:
    """Raises TokenBackendError unless every claim that we rely on is there, of its type, and
    says that we issued the token for this audience and that it is valid by now. An id has the
    shape of one: what has another is asked of no database and no cache."""
    for name, is_usable in _TEXTS.items():
        if not isinstance(claims.get(name), str) or not is_usable(claims[name]):
            raise TokenBackendError(f"no usable {name}")
    if claims.get("iss") != ISSUER or claims.get("aud") != audience:
        raise TokenBackendError("not ours, or not for this use")
    soon = time.time() + LEEWAY_SECONDS
    for name, latest in (("exp", _MAX_TIMESTAMP), ("iat", soon), ("nbf", soon)):
        value = claims.get(name, 0 if name == "nbf" else None)
        if type(value) is not int or not 0 <= value <= latest:
            raise TokenBackendError(f"no usable {name}")


class RingTokenBackend(TokenBackend):
    """simplejwt's backend for one kind of token: its `typ` and its audience."""

    def __init__(self, *, typ: str, audience: str) -> None:
        super().__init__("HS256", leeway=LEEWAY_SECONDS)
        self.typ = typ
        self._audience = audience

    def encode(self, payload: dict[str, Any]) -> str:
        """Sign the claims, with issuer and audience, under the first key of the ring."""
        key = ring()[0]
        claims = {**payload, "iss": ISSUER, "aud": self._audience}
        headers = {"kid": key.kid, "typ": self.typ}
        return jwt.encode(claims, key.private, algorithm=key.algorithm, headers=headers)

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """The claims of an authentic token of this kind, issued by us and not expired.

        With `verify` False an expired one passes; nothing else is forgiven (logout needs it).
        Raises TokenBackendExpiredToken, or TokenBackendError for every other fault.
        """
        claims = _json_object(authentic_payload(token, self._key_for))
        _check_claims(claims, self._audience)
        if verify and claims["exp"] <= time.time() - LEEWAY_SECONDS:
            raise TokenBackendExpiredToken("expired")
        return claims

    def _key_for(self, header: Mapping[str, Any]) -> SigningKey:
        """The ring's key that the header names. Raises TokenBackendError where the header says
        anything else than what we write: no jku, jwk, x5u or crit is ever looked at."""
        if set(header) != _HEADER_MEMBERS or header["typ"] != self.typ:
            raise TokenBackendError("not our header")
        for key in ring():
            if key.kid == header["kid"] and key.algorithm == header["alg"]:
                return key
        raise TokenBackendError("unknown key")
