"""The ring of signing keys, JWT_SIGNING_KEYS. No ORM and no token library in it.

The first key of the ring signs, all verify. Which algorithm a key is used with is a property of the
ring. Source: contract, section 6.
"""

import base64
import binascii
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from fluxiq import rings

MIN_SECRET_BYTES = 32  # RFC 7518, section 3.2: no shorter than the hash
KID_LENGTH = 64
PEM = "LS0tLS1CRUdJTi"  # how the base64 of a PEM begins
MIN_RSA_BITS = 2048  # RFC 7518, section 3.3

ASYMMETRIC = ("ES256", "EdDSA", "RS256")


class InvalidSigningKeys(ValueError):
    """JWT_SIGNING_KEYS cannot be used; the message says why, without a secret."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key of the ring: what signs, what verifies, and with which algorithm alone."""

    kid: str
    algorithm: str
    private: Any
    public: Any

    def jwk(self) -> dict[str, Any] | None:
        """The public key as a JWK (RFC 7517), or None for a shared secret."""
        match self.algorithm:
            case "ES256":
                members = ECAlgorithm.to_jwk(self.public, as_dict=True)
            case "EdDSA":
                members = OKPAlgorithm.to_jwk(self.public, as_dict=True)
            case "RS256":
                members = RSAAlgorithm.to_jwk(self.public, as_dict=True)
                members.pop("key_ops", None)
            case _:
                return None
        return {**members, "kid": self.kid, "alg": self.algorithm, "use": "sig"}


def _asymmetric_key(position: int, kid: str, algorithm: str, encoded: str) -> SigningKey:
    try:
        private = load_pem_private_key(base64.b64decode(encoded, validate=True), password=None)
    except (ValueError, TypeError, binascii.Error):  # whose text may hold a part of the key
        raise InvalidSigningKeys(
            f"entry {position} is not the base64 of an unencrypted PKCS#8 PEM"
        ) from None
    fits = {
        "ES256": isinstance(private, ec.EllipticCurvePrivateKey)
        and isinstance(private.curve, ec.SECP256R1),
        "EdDSA": isinstance(private, ed25519.Ed25519PrivateKey),
        "RS256": isinstance(private, rsa.RSAPrivateKey) and private.key_size >= MIN_RSA_BITS,
    }[algorithm]
    if not fits:
        raise InvalidSigningKeys(f"entry {position} is no key that {algorithm} can use")
    return SigningKey(kid, algorithm, private, private.public_key())


def parse_ring(text: str, *, forbidden_secret: str) -> tuple[SigningKey, ...]:
    """The ring of `kid:secret,kid:ES256:base64,…`, newest first.

    Raises InvalidSigningKeys for an empty ring, a kid that stands twice, a secret under 32
    bytes or equal to `forbidden_secret` (Django's SECRET_KEY), a key that cannot be read, and what
    is likely to be a key of another algorithm: a secret with a colon or a PEM in it.
    """
    try:
        return tuple(
            _key(position, kid, material, forbidden_secret)
            for position, kid, material in rings.split(text, "kid", KID_LENGTH)
        )
    except rings.InvalidRing as error:
        raise InvalidSigningKeys(str(error)) from error


def _key(position: int, kid: str, material: str, forbidden_secret: str) -> SigningKey:
    algorithm, colon, encoded = material.partition(":")
    if colon and algorithm in ASYMMETRIC:
        return _asymmetric_key(position, kid, algorithm, encoded)
    if colon or PEM in material:
        raise InvalidSigningKeys(
            f"entry {position} is neither kid:secret, where a secret has no colon, nor"
            f" kid:ALGORITHM:key, where the algorithm is {', '.join(ASYMMETRIC)}"
        )
    secret = rings.check_length(position, material, MIN_SECRET_BYTES)
    if material == forbidden_secret:
        raise InvalidSigningKeys(f"entry {position} is SECRET_KEY; give it a secret of its own")
    return SigningKey(kid, "HS256", secret, secret)


@lru_cache(maxsize=8)
def _parsed(text: str, forbidden_secret: str) -> tuple[SigningKey, ...]:
    return parse_ring(text, forbidden_secret=forbidden_secret)


def ring() -> tuple[SigningKey, ...]:
    """The ring of the settings in force."""
    return _parsed(settings.JWT_SIGNING_KEYS, settings.SECRET_KEY)


def jwks() -> dict[str, Any]:
    """The public keys of the ring as a JWK set; empty where all are shared secrets."""
    return {"keys": [jwk for jwk in (key.jwk() for key in ring()) if jwk is not None]}
