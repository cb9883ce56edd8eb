"""What a service publishes of its ring, tokens that it signed, and what a verifier says of one."""

import json
from typing import Any

import jwt
from django.test import override_settings

from authn import signing_keys
from authn.client import Refused
from authn.client.jwks import TokenVerifier
from authn.tests.stub import UNAUTHORIZED, http
from authn.tests.tokens import PRIVATE, claims, pem

RING = ",".join(f"{alg.lower()}-1:{alg}:{pem(private)}" for alg, private in PRIVATE.items())
KIDS = {alg: f"{alg.lower()}-1" for alg in PRIVATE}


def published(ring: str = RING) -> dict[str, Any]:
    """What the service publishes of a ring."""
    with override_settings(JWT_SIGNING_KEYS=ring):
        return signing_keys.jwks()


def document(keys: dict[str, Any], **headers: str) -> bytes:
    """The answer with these keys."""
    headers.setdefault("Cache_Control", "public, max-age=300")
    return http(200, json.dumps(keys).encode(), **headers)


def token(alg: str = "ES256", headers: Any = None, key: Any = None, **changes: Any) -> str:
    """An access token of these claims, as the service signs it."""
    says = {"kid": KIDS.get(alg, "?"), "typ": "at+jwt", **(headers or {})}
    payload = {name: value for name, value in claims(**changes).items() if value is not None}
    return jwt.encode(payload, key or PRIVATE[alg], algorithm=alg, headers=says)


def status(verifier: TokenVerifier, encoded: str | None) -> int:
    """200, or the status of the refusal."""
    try:
        verifier.verify(None if encoded is None else f"Bearer {encoded}")
        return 200
    except Refused as refused:
        refusal = refused
    if refusal.status == 401:
        assert refusal.body == UNAUTHORIZED
        assert refusal.headers["WWW-Authenticate"] == "Bearer"
    return refusal.status
