"""The ring of signing keys: what it takes, what signs and what verifies, what is published."""

import base64
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)
from django.test import override_settings
from rest_framework_simplejwt.exceptions import TokenBackendError

from authn import signing_keys
from authn.tests.tokens import BACKEND, PRIVATE, SECRET, USER_ID, claims, forge, pem

PUBLISHED = {"ES256": {"crv", "x", "y"}, "EdDSA": {"crv", "x"}, "RS256": {"n", "e"}}
UNUSABLE = {
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "RSA of 1024 bits": rsa.generate_private_key(65537, 1024),  # noqa: S505 - to be refused
}


def test_the_first_key_signs_and_all_verify(settings: Any) -> None:
    old = BACKEND.encode(claims())
    settings.JWT_SIGNING_KEYS = f"new:{'n' * 40},test-1:{SECRET}"
    new = BACKEND.encode(claims())
    assert jwt.get_unverified_header(new)["kid"] == "new"
    assert BACKEND.decode(old)
    assert BACKEND.decode(new)
    settings.JWT_SIGNING_KEYS = f"new:{'n' * 40}"
    with pytest.raises(TokenBackendError):
        BACKEND.decode(old)


@pytest.mark.parametrize("algorithm", list(PRIVATE))
def test_an_asymmetric_key_signs_and_is_published(algorithm: str, settings: Any) -> None:
    private = PRIVATE[algorithm]
    settings.JWT_SIGNING_KEYS = f"a1:{algorithm}:{pem(private)},test-1:{SECRET}"
    token = BACKEND.encode(claims())
    header = jwt.get_unverified_header(token)
    assert header == {"alg": algorithm, "kid": "a1", "typ": "at+jwt"}
    assert BACKEND.decode(token)["sub"] == USER_ID
    assert BACKEND.decode(forge())["sub"] == USER_ID
    (published,) = signing_keys.jwks()["keys"]
    assert {"kid": "a1", "alg": algorithm, "use": "sig"}.items() <= published.items()
    assert set(published) == {"kid", "alg", "use", "kty", *PUBLISHED[algorithm]}
    read = jwt.decode(token, jwt.PyJWK(published).key, [algorithm], audience="fluxiq")
    assert read["sub"] == USER_ID


def test_a_public_key_is_no_hmac_secret(settings: Any) -> None:
    private = PRIVATE["RS256"]
    settings.JWT_SIGNING_KEYS = f"a1:RS256:{pem(private)}"
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    confused = forge({"alg": "HS256", "kid": "a1", "typ": "at+jwt"}, secret=public.decode())
    with pytest.raises(TokenBackendError):
        BACKEND.decode(confused)


def test_shared_secrets_are_not_published() -> None:
    assert signing_keys.jwks() == {"keys": []}


A_KID_HAS = "entry 1 has no usable kid: 1 to 64 of A-Z a-z 0-9 _ . -"
ENCRYPTED = base64.b64encode(
    PRIVATE["ES256"].private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )
).decode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "there is no entry"), (" , ", "there is no entry"),
        ("k:short", "the secret of entry 1 has under 32 bytes"),
        ("s" * 40, "entry 1 has no kid: it must be kid:secret"),
        (f"k:{'x' * 40},{'s' * 40}", "entry 2 has no kid: it must be kid:secret"),
        (f"k:{'x' * 31}", "the secret of entry 1 has under 32 bytes"),
        (f"k:{'x' * 40},k:{'y' * 40}", "entries 1 and 2 have the same kid"),
        (f"k:{'s' * 50}", "entry 1 is SECRET_KEY; give it a secret of its own"),
        (f"../k:{'x' * 40}", A_KID_HAS), (f":{'x' * 40}", A_KID_HAS),
        (f"{'k' * 65}:{'x' * 40}", A_KID_HAS),
        ("k:ES256:AAAA", "entry 1 is not the base64 of an unencrypted PKCS#8 PEM"),
        ("k:ES256:%%%", "entry 1 is not the base64 of an unencrypted PKCS#8 PEM"),
        (f"k:ES256:{ENCRYPTED}", "entry 1 is not the base64 of an unencrypted PKCS#8 PEM"),
        (f"k:ES256:!{pem(PRIVATE['ES256'])}",
         "entry 1 is not the base64 of an unencrypted PKCS#8 PEM"),
        (f"k:ES256:{pem(PRIVATE['ES256'])}:{'x' * 40}",
         "entry 1 is not the base64 of an unencrypted PKCS#8 PEM"),
        (f"k:ES256:{pem(PRIVATE['RS256'])}", "entry 1 is no key that ES256 can use"),
        (f"k:ES256:{pem(UNUSABLE['P-384'])}", "entry 1 is no key that ES256 can use"),
        (f"k:EdDSA:{pem(PRIVATE['ES256'])}", "entry 1 is no key that EdDSA can use"),
        (f"k:RS256:{pem(PRIVATE['EdDSA'])}", "entry 1 is no key that RS256 can use"),
        (f"k:RS256:{pem(UNUSABLE['RSA of 1024 bits'])}", "entry 1 is no key that RS256 can use"),
    ],
)  # fmt: skip
def test_an_unfit_ring_says_why(text: str, why: str) -> None:
    with pytest.raises(signing_keys.InvalidSigningKeys) as caught:
        signing_keys.parse_ring(text, forbidden_secret="s" * 50)
    assert str(caught.value) == why


def test_a_ring_is_read_in_its_order_with_spaces_and_empty_places_left_out() -> None:
    read = signing_keys.parse_ring(
        f" {'k' * 64}:{'x' * 32} ,, b:ES256:{pem(PRIVATE['ES256'])}, C-_.0:{'y' * 40},",
        forbidden_secret="s" * 50,
    )
    assert [(key.kid, key.algorithm) for key in read] == [
        ("k" * 64, "HS256"), ("b", "ES256"), ("C-_.0", "HS256"),
    ]  # fmt: skip
    assert read[0].private == read[0].public == b"x" * 32


@pytest.mark.parametrize(
    "material",
    [f"es256:{'x' * 40}", f"HS256:{'x' * 40}", f"ES256{pem(PRIVATE['ES256'])}",
     pem(PRIVATE["ES256"]), f"{'x' * 20}:{'x' * 20}"],
)  # fmt: skip
def test_what_is_likely_to_be_a_key_of_another_algorithm_is_no_shared_secret(material: str) -> None:
    with pytest.raises(signing_keys.InvalidSigningKeys) as caught:
        signing_keys.parse_ring(f"k:{material}", forbidden_secret="s" * 50)
    assert str(caught.value) == (
        "entry 1 is neither kid:secret, where a secret has no colon, nor kid:ALGORITHM:key, where"
        " the algorithm is ES256, EdDSA, RS256"
    )


def test_the_secret_of_django_is_no_key_of_the_ring(settings: Any) -> None:
    settings.JWT_SIGNING_KEYS = f"k:{settings.SECRET_KEY}"
    with pytest.raises(signing_keys.InvalidSigningKeys, match="is SECRET_KEY"):
        signing_keys.ring()


def test_the_ring_follows_the_settings() -> None:
    with override_settings(JWT_SIGNING_KEYS=f"z:{'z' * 40}"):
        assert [key.kid for key in signing_keys.ring()] == ["z"]
    assert [key.kid for key in signing_keys.ring()] == ["test-1"]
