"""The strict decoding of tokens: their header, their signature and their spelling."""

import base64
import itertools
import json
import string
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework_simplejwt.exceptions import TokenBackendError

from authn import signing, signing_keys
from authn.tests.tokens import BACKEND, USER_ID, assert_refused, claims, forge

VECTORS = Path(__file__).parents[3] / "shared/vectors/wycheproof_json_web_signature_test.json"


def is_authentic(token: Any, key: signing_keys.SigningKey) -> bool:
    """What the decoder says of a JWS whose header names this key's algorithm."""

    def key_for(header: Mapping[str, Any]) -> signing_keys.SigningKey:
        if header.get("alg") != key.algorithm:
            raise TokenBackendError("another algorithm")
        return key

    try:
        signing.authentic_payload(token, key_for)
    except TokenBackendError:
        return False
    return True


def test_a_token_of_ours_is_read() -> None:
    assert BACKEND.decode(forge())["sub"] == USER_ID


def test_what_we_encode_we_decode() -> None:
    sent = claims()
    assert BACKEND.decode(BACKEND.encode(sent)) == sent


HEADER = {"alg": "HS256", "kid": "test-1", "typ": "at+jwt"}
WITHOUT = {name: {k: v for k, v in HEADER.items() if k != name} for name in HEADER}


@pytest.mark.parametrize(
    "header",
    [
        {**HEADER, "typ": "rt+jwt"}, {**HEADER, "typ": "JWT"}, {**HEADER, "typ": "AT+JWT"},
        {**HEADER, "jku": "http://127.0.0.1/"}, {**HEADER, "jwk": {"kty": "oct"}},
        {**HEADER, "x5u": "http://127.0.0.1/"}, {**HEADER, "crit": ["exp"]},
        {**HEADER, "b64": False}, *WITHOUT.values(), {"x": 1},
    ],
)  # fmt: skip
def test_a_header_that_is_not_ours_is_refused(header: dict[str, Any]) -> None:
    assert_refused(forge(header), "not our header")


@pytest.mark.parametrize(
    "header",
    [
        {**HEADER, "alg": "none"}, {**HEADER, "alg": "HS512"}, {**HEADER, "alg": "RS256"},
        {**HEADER, "alg": ["HS256"]}, {**HEADER, "kid": "other"}, {**HEADER, "kid": "../test-1"},
        {**HEADER, "kid": "/dev/null"}, {**HEADER, "kid": ["test-1"]}, {**HEADER, "kid": None},
    ],
)  # fmt: skip
def test_a_key_that_is_not_in_the_ring_or_not_for_that_algorithm_is_unknown(
    header: dict[str, Any],
) -> None:
    assert_refused(forge(header), "unknown key")


def test_a_signature_by_another_key_is_refused() -> None:
    assert_refused(forge(secret="x" * 40), "not signed by the key it names")


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"[]", "not a JSON object"), (b"null", "not a JSON object"), (b"5", "not a JSON object"),
        (b"{", "not JSON"), (b"\xff", "not JSON"), (b"[" * 2000, "not JSON"),
        (b"", "not base64url"), (b'{"a":1,"a":2}', "a member stands twice"),
    ],
)  # fmt: skip
def test_a_payload_that_is_no_object_is_refused(payload: bytes, why: str) -> None:
    assert_refused(forge(payload=payload), why)


def test_a_token_has_at_most_4096_characters() -> None:
    padded = (forge(payload=claims(pad="x" * size)) for size in range(4000))
    longest, next_longer = next(
        (one, other) for one, other in itertools.pairwise(padded) if len(one) == 4096 < len(other)
    )
    assert BACKEND.decode(longest)["sub"] == USER_ID
    assert_refused(next_longer, "not a token")


def test_only_the_canonical_spelling_is_a_token() -> None:
    token = forge()
    head, body, signature = token.split(".")
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    stray = alphabet[alphabet.index(signature[-1]) | 1]  # 256 bits leave the last two at 0
    for wrong in (
        token + "=", f"{head}.{body}.{signature}==", f" {token}", f"{token}\n", f"{token}.x",
        f"{head}.{body}", f"{head}..{signature}", f"{head}.{body}.", "", "..",
        f"{head}.{body}.{signature[:-2]}",  # no bytes are spelled in 41 characters
    ):  # fmt: skip
        assert_refused(wrong, "not base64url")
    assert_refused(f"{head}.{body}.{signature[:-1]}{stray}", "not canonical base64url")
    for no_token in ("é" + token, "a" * 5000, None, 5, b"x", [token]):
        assert_refused(no_token, "not a token")


@given(
    st.text(max_size=300)
    | st.builds(lambda a, b, c: f"{a}.{b}.{c}", st.text(), st.text(), st.text())
)
def test_no_text_ends_in_anything_but_a_refusal(text: str) -> None:
    with pytest.raises(TokenBackendError):
        BACKEND.decode(text)


def test_each_kind_of_token_is_read_by_its_own_backend_alone() -> None:
    access = signing.RingTokenBackend(typ="at+jwt", audience="fluxiq")
    other_typ = signing.RingTokenBackend(typ="xt+jwt", audience="fluxiq")
    elsewhere = signing.RingTokenBackend(typ="at+jwt", audience="elsewhere")
    token = access.encode(claims())
    assert jwt.get_unverified_header(token) == HEADER
    assert access.decode(token)["aud"] == "fluxiq"
    for other, why in ((other_typ, "not our header"), (elsewhere, "not ours, or not for this use")):
        assert other.decode(other.encode(claims()))["sub"] == USER_ID
        with pytest.raises(TokenBackendError, match=f"^{why}$"):
            other.decode(token)


def test_who_asks_the_backend_for_its_leeway_is_told_ours() -> None:
    backend = signing.RingTokenBackend(typ="at+jwt", audience="fluxiq")
    assert backend.get_leeway() == timedelta(seconds=signing.LEEWAY_SECONDS)


def test_the_wycheproof_vectors_of_hs256_are_judged_right() -> None:
    if not VECTORS.exists():
        pytest.skip("the Wycheproof vectors are not beside the checkout")
    unclear = {367, 370, 372, 373}  # told apart by label alone, or valid with a `?` in base64url
    judged = 0
    groups = json.loads(VECTORS.read_text())["testGroups"]
    for group in (groups[index] for index in (0, 12, 16, 21)):
        jwk = group["private"]
        secret = base64.urlsafe_b64decode(jwk["k"] + "==")
        key = signing_keys.SigningKey(jwk["kid"], jwk["alg"], secret, secret)
        for test in group["tests"]:
            if test["tcId"] not in unclear:
                judged += 1
                assert is_authentic(test["jws"], key) == (test["result"] == "valid"), test
    assert judged == 36
