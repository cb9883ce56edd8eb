"""authn.client.jwks: which access tokens are taken, and which are 401."""

import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from authn.client import Refused
from authn.client.jwks import TokenVerifier
from authn.tests.published import document, published, status, token
from authn.tests.stub import Stub
from authn.tests.tokens import JTI, PRIVATE, SESSION_ID, USER_ID, b64, forge

pytestmark = pytest.mark.engine  # no database is touched: once is enough


@pytest.fixture
def verifier() -> Iterator[TokenVerifier]:
    """A verifier of a service that publishes a key of each kind."""
    with Stub(document(published())) as stub:
        yield TokenVerifier(stub.url, timeout=0.5)


class TestTokens:
    @pytest.mark.parametrize("alg", PRIVATE)
    def test_an_authentic_one_tells_whose_it_is(self, verifier: TokenVerifier, alg: str) -> None:
        now = int(time.time())
        found = verifier.verify(f"bearer {token(alg, iat=now, exp=now + 900)}")
        assert (found.subject, found.session_id, found.token_id) == (USER_ID, SESSION_ID, JTI)
        assert (found.issued_at, found.expires_at) == (now, now + 900)

    @pytest.mark.parametrize(
        "changes",
        [
            {"exp": 1}, {"exp": None}, {"exp": "9999999999"}, {"exp": 9e9}, {"exp": True},
            {"iat": None}, {"iat": int(time.time()) + 3600}, {"iat": 1.5}, {"nbf": 9_999_999_999},
            {"iss": "other"}, {"iss": None}, {"aud": "fluxiq/refresh"}, {"aud": None},
            {"aud": ["fluxiq", "other"]}, {"token_type": "refresh"}, {"token_type": None},
            {"sub": None}, {"sub": ""}, {"sid": None}, {"sid": ""}, {"jti": None}, {"jti": ""},
        ],
    )  # fmt: skip
    def test_one_whose_claims_do_not_say_so_is_401(
        self, verifier: TokenVerifier, changes: dict[str, Any]
    ) -> None:
        assert status(verifier, token()) == 200
        assert status(verifier, token(**changes)) == 401

    def test_five_seconds_are_forgiven(self, verifier: TokenVerifier) -> None:
        now = int(time.time())
        assert status(verifier, token(exp=now - 3)) == 200
        assert status(verifier, token(exp=now - 7)) == 401

    @pytest.mark.parametrize(
        "headers",
        [{"typ": "rt+jwt"}, {"typ": "JWT"}, {"kid": "nobody"}, {"kid": "eddsa-1"},
         {"jku": "http://evil.example/jwks"}, {"crit": ["exp"]}, {"x5u": "x"}],
    )  # fmt: skip
    def test_one_with_another_header_is_401(
        self, verifier: TokenVerifier, headers: dict[str, Any]
    ) -> None:
        assert status(verifier, token(headers=headers)) == 401

    def test_the_algorithm_is_the_keys_and_not_the_tokens(self, verifier: TokenVerifier) -> None:
        public = json.dumps(published()["keys"][0])
        confused = forge({"alg": "HS256", "kid": "es256-1", "typ": "at+jwt"}, secret=public)
        assert status(verifier, confused) == 401
        header = b64(json.dumps({"alg": "none", "kid": "es256-1", "typ": "at+jwt"}).encode())
        payload = token().split(".")[1]
        assert status(verifier, f"{header}.{payload}.") == 401
        assert status(verifier, f"{header}.{payload}.AA") == 401

    def test_one_signed_by_another_key_is_401(self, verifier: TokenVerifier) -> None:
        other = jwt.algorithms.ECAlgorithm.from_jwk(
            '{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",'
            '"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",'
            '"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}'
        )
        assert status(verifier, token(key=other)) == 401

    @pytest.mark.parametrize(
        "encoded",
        [None, "", "x", "a.b.c", "..", "sk_live_0123456789ABCDEFGHIJKLMNOPQRSTUV28hqg7",
         b64(b"[" * 2500) + ".e30.AA", b64(b"\xff") + ".e30.AA", b64(b"{}") + ".e30.AA",
         b64(b'"x"') + ".e30.AA", "a" * 100_000, token() + "=", token() + ".e30", " " + token()],
    )  # fmt: skip
    def test_junk_is_401(self, verifier: TokenVerifier, encoded: str | None) -> None:
        assert status(verifier, encoded) == 401

    def test_another_scheme_is_401(self, verifier: TokenVerifier) -> None:
        for header in (f"Basic {token()}", token(), f"Bearer  {token()}", f"Bearer {token()}, x"):
            with pytest.raises(Refused) as raised:
                verifier.verify(header)
            assert raised.value.status == 401
