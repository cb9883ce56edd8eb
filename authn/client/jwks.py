"""Verifying access tokens without asking: by the public keys that FluxiQ publishes.

For services that must go on while the authentication service is away, or cannot afford a trip,
and where its ring of signing keys is asymmetric (ES256, EdDSA, RS256).

What it tells: that we issued the token, to which user and session, and that it has not expired.
What it cannot tell, since it is not in the token: which permissions the user holds, at which
merchants, whether they are over their limit, and whether the session is over. A sign-out, a
changed password or role, a deactivated user or a suspended merchant is therefore not seen until the
token expires: up to 900 seconds, and the leeway of 5, later than by `Verifier`. So use it for
reads that can bear that, or to turn junk away before asking; ask before money moves. API keys are
no tokens: they can only be asked about.
"""

import json
import logging
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
import jwt

from authn.client import answers

logger = logging.getLogger("authn.client")

PATH = "/.well-known/jwks.json"
LEEWAY_SECONDS = 5

TIMEOUT_SECONDS = 2.0
MAX_DOCUMENT = 256 * 1024  # bytes
DEFAULT_MAX_AGE = 300  # seconds, where the answer does not say
LONGEST_MAX_AGE = 3600
# Between two fetches, however many unknown kids are presented or fetches fail.
MIN_INTERVAL_SECONDS = 10
# Keys that could not be renewed serve for this long more: a key taken out of the ring must end.
STALE_SECONDS = 600

MAX_TOKEN = 4096  # characters
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# The algorithms of a kind of key. Never a shared secret: what is published is none.
_ALGORITHMS = {"ES256": ("EC", "P-256"), "EdDSA": ("OKP", "Ed25519"), "RS256": ("RSA", None)}
_BEARER = re.compile(r"bearer ([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)  # RFC 6750, section 2.1
_ACCESS = "access"
_HEADER_MEMBERS = {"alg", "kid", "typ"}
_CLAIMS = ("sub", "sid", "jti", "iat", "exp", "iss", "aud", "token_type")


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What an authentic access token says. `issued_at` and `expires_at` are Unix times."""

    subject: str
    session_id: str
    token_id: str
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class _KeySet:
    keys: Mapping[str, jwt.PyJWK]
    etag: str
    fresh_until: float
    usable_until: float


class KeysUnavailable(Exception):
    """The keys could not be had; the message says why."""


class TokenVerifier:
    """Verifies access tokens by the published keys. One serves all threads of a process.

    `url` is where the authentication service is; `issuer` and `audience` are what tokens must say;
    `timeout` (seconds) bounds each step of a fetch. Keys are kept as long as their Cache-Control
    says, renewed by ETag, and looked for anew when a token names an unknown one, at most every
    `MIN_INTERVAL_SECONDS`. While they cannot be renewed they serve for `STALE_SECONDS` more.
    """

    def __init__(
        self,
        url: str,
        *,
        issuer: str = "fluxiq",
        audience: str = "fluxiq",
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        base = httpx.URL(url)
        if base.scheme not in ("http", "https") or not base.host:
            raise ValueError(f"not the http(s) address of a service: {url!r}")
        self.url = str(base).rstrip("/") + PATH
        self._issuer, self._audience, self._timeout = issuer, audience, timeout
        self._lock = threading.Lock()
        self._held: _KeySet | None = None
        self._not_before = 0.0  # on the monotonic clock: no fetch until then

    def verify(self, authorization: str | None) -> AccessToken:
        """The token in the value of an Authorization header.

        Raises Refused: 401 for anything but an authentic access token that has not expired, in
        the bytes of every such 401; 503 where the keys cannot be had.
        """
        match = _BEARER.fullmatch(authorization or "")
        try:
            token = self._decode(match[1]) if match else None
        except KeysUnavailable as error:
            raise answers.unavailable(error, answers.new_request_id()) from error
        except (jwt.PyJWTError, RecursionError) as error:  # the latter by a deeply nested header
            raise answers.unauthorized() from error
        if token is None:
            raise answers.unauthorized()
        return token

    def _decode(self, encoded: str) -> AccessToken | None:
        """Raises PyJWTError for a token that is not authentic; None is one that is not ours."""
        if len(encoded) > MAX_TOKEN or _COMPACT.fullmatch(encoded) is None:
            return None
        header = jwt.get_unverified_header(encoded)
        if set(header) != _HEADER_MEMBERS or header["typ"] != "at+jwt":
            return None
        key = self._key(header["kid"])
        if key is None or header["alg"] != key.algorithm_name:
            return None
        claims: dict[str, Any] = jwt.decode(
            encoded,
            key,
            algorithms=[key.algorithm_name],  # the published key's, whatever the token says
            issuer=self._issuer,
            audience=self._audience,
            leeway=LEEWAY_SECONDS,
            options={"require": list(_CLAIMS), "strict_aud": True},
        )
        texts = all(
            isinstance(claims[name], str) and claims[name] for name in ("sub", "sid", "jti")
        )
        times = all(type(claims[name]) is int for name in ("iat", "exp"))
        if not (texts and times) or claims["token_type"] != _ACCESS:
            return None
        return AccessToken(
            claims["sub"], claims["sid"], claims["jti"], claims["iat"], claims["exp"]
        )

    def _key(self, kid: str) -> jwt.PyJWK | None:
        """The published key of that kid, or None. Raises KeysUnavailable."""
        held = self._held
        if held is None or time.monotonic() >= held.fresh_until or kid not in held.keys:
            held = self._renewed(held)
        return held.keys.get(kid)

    def _renewed(self, seen: _KeySet | None) -> _KeySet:
        """Newer keys than those seen, or the same where they serve on. Raises KeysUnavailable.

        One thread fetches; those that have keys to go on with do not wait for it.
        """
        usable = seen if seen is not None and time.monotonic() < seen.usable_until else None
        if usable is None:
            self._lock.acquire()
        elif not self._lock.acquire(blocking=False):
            return usable
        try:
            if self._held is not seen and self._held is not None:
                return self._held  # another thread was first
            if time.monotonic() >= self._not_before:
                self._not_before = time.monotonic() + MIN_INTERVAL_SECONDS
                try:
                    self._held = newer = self._fetch(seen)
                    return newer
                except KeysUnavailable as error:
                    if usable is None:
                        raise
                    logger.warning("the keys of %s were not renewed: %s", self.url, error)
            if usable is None:
                raise KeysUnavailable("no keys, and it is too soon to ask again")
            return usable
        finally:
            self._lock.release()

    def _fetch(self, seen: _KeySet | None) -> _KeySet:
        headers = {"Accept": "application/json, application/jwk-set+json"}
        if seen is not None and seen.etag:
            headers["If-None-Match"] = seen.etag
        try:
            with (
                httpx.Client(timeout=self._timeout, trust_env=False) as client,
                client.stream("GET", self.url, headers=headers) as response,
            ):
                body = b""
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MAX_DOCUMENT:
                        raise KeysUnavailable(f"over {MAX_DOCUMENT} bytes")
        except httpx.HTTPError as error:
            raise KeysUnavailable(f"{type(error).__name__} {error}") from error
        if response.status_code == HTTPStatus.NOT_MODIFIED and seen is not None:
            keys, etag = seen.keys, seen.etag
        elif response.status_code == HTTPStatus.OK:
            keys, etag = _read(body), response.headers.get("ETag", "")
        else:
            raise KeysUnavailable(f"status {response.status_code}")
        fresh_until = time.monotonic() + _max_age(response.headers)
        return _KeySet(keys, etag, fresh_until, fresh_until + STALE_SECONDS)


def _read(body: bytes) -> dict[str, jwt.PyJWK]:
    """The keys of a JWK set that can verify, by kid. Raises KeysUnavailable where there is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise KeysUnavailable("no JSON") from error
    members = document.get("keys") if isinstance(document, dict) else None
    keys: dict[str, jwt.PyJWK] = {}
    for jwk in members if isinstance(members, list) else ():
        if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str):
            continue
        kind = _ALGORITHMS.get(jwk.get("alg", ""))
        if kind != (jwk.get("kty"), jwk.get("crv")) or jwk.get("use", "sig") != "sig":
            continue
        try:
            keys[jwk["kid"]] = jwt.PyJWK(jwk)
        except jwt.PyJWTError as error:
            logger.warning("the key %s cannot be read: %s", jwk["kid"], error)
    if not keys:
        raise KeysUnavailable("no public key is published; a ring of shared secrets has none")
    return keys


def _max_age(headers: Mapping[str, str]) -> int:
    """The seconds for which an answer is fresh (RFC 9111, section 4.2), within bounds."""
    control = headers.get("Cache-Control", "").lower()
    if "no-store" in control or "no-cache" in control:
        return MIN_INTERVAL_SECONDS
    stated = re.search(r"(?:^|[,\s])max-age=([0-9]{1,9})", control)
    age = re.fullmatch(r"[0-9]{1,9}", headers.get("Age", ""))
    fresh = (int(stated[1]) if stated else DEFAULT_MAX_AGE) - (int(age[0]) if age else 0)
    return min(max(fresh, MIN_INTERVAL_SECONDS), LONGEST_MAX_AGE)
