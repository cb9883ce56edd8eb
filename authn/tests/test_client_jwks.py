"""authn.client.jwks: access tokens verified by published keys."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from django.test import override_settings

from authn import signing
from authn.client import Refused, jwks
from authn.client.jwks import TokenVerifier
from authn.tests.stub import UNAUTHORIZED, Seen, Stub, error, granted, http
from authn.tests.test_signing import PRIVATE, b64, claims, forge, pem

pytestmark = pytest.mark.engine  # no database is touched: once is enough

RING = ",".join(f"{alg.lower()}-1:{alg}:{pem(private)}" for alg, private in PRIVATE.items())
KIDS = {alg: f"{alg.lower()}-1" for alg in PRIVATE}


def published(ring: str = RING) -> dict[str, Any]:
    """What the service publishes of a ring."""
    with override_settings(JWT_SIGNING_KEYS=ring):
        return signing.jwks()


def document(keys: dict[str, Any], **headers: str) -> bytes:
    """The answer with these keys."""
    headers.setdefault("Cache_Control", "public, max-age=300")
    return http(200, json.dumps(keys).encode(), **headers)


def token(alg: str = "ES256", headers: Any = None, key: Any = None, **changes: Any) -> str:
    """An access token of these claims, as the service signs it."""
    says = {"kid": KIDS.get(alg, "?"), "typ": "at+jwt", **(headers or {})}
    payload = {name: value for name, value in claims(**changes).items() if value is not None}
    return jwt.encode(payload, key or PRIVATE[alg], algorithm=alg, headers=says)


class Clock:
    """The monotonic clock of jwks, which a test moves on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock, for the keys alone."""
    moved = Clock()
    monkeypatch.setattr(jwks, "time", moved)
    return moved


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A service that publishes a key of each kind."""
    with Stub(document(published(), ETag='"one"')) as running:
        yield running


@pytest.fixture
def verifier(stub: Stub) -> TokenVerifier:
    """A verifier that knows nothing yet."""
    return TokenVerifier(stub.url, timeout=0.5)


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


class TestTokens:
    @pytest.mark.parametrize("alg", PRIVATE)
    def test_an_authentic_one_tells_whose_it_is(self, verifier: TokenVerifier, alg: str) -> None:
        now = int(time.time())
        found = verifier.verify(f"bearer {token(alg, iat=now, exp=now + 900)}")
        assert (found.subject, found.session_id, found.token_id) == ("usr_1", "ses_1", "j")
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


class TestKeys:
    def test_they_are_fetched_once(self, stub: Stub, verifier: TokenVerifier) -> None:
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda _: status(verifier, token()), range(40))) == {200}
        (seen,) = stub.seen
        assert seen.path == "/.well-known/jwks.json"
        assert "authorization" not in seen.headers

    def test_they_are_renewed_by_their_etag_when_they_have_aged(
        self, stub: Stub, verifier: TokenVerifier, clock: Clock
    ) -> None:
        assert status(verifier, token()) == 200
        clock.ahead = 299
        assert status(verifier, token()) == 200
        assert len(stub.seen) == 1
        stub.reply = lambda seen: http(304, ETag='"one"', Cache_Control="max-age=60")
        clock.ahead = 301
        assert status(verifier, token()) == 200
        assert stub.seen[1].headers["if-none-match"] == '"one"'
        clock.ahead = 360
        assert status(verifier, token()) == 200
        assert len(stub.seen) == 2
        clock.ahead = 362
        assert status(verifier, token()) == 200
        assert len(stub.seen) == 3

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"Cache_Control": "max-age=60"}, 60),
            ({"Cache_Control": "public, max-age=100", "Age": "40"}, 60),
            ({"Cache_Control": "no-store"}, 10),
            ({"Cache_Control": "max-age=0"}, 10),
            ({"Cache_Control": "max-age=999999"}, 3600),
            ({"Cache_Control": "x-max-age=5"}, 300),
            ({"Cache_Control": ""}, 300),
        ],
    )
    def test_how_long_they_are_kept_is_what_the_answer_says_within_bounds(
        self, stub: Stub, verifier: TokenVerifier, clock: Clock, headers: Any, seconds: int
    ) -> None:
        stub.reply = lambda seen: document(published(), **headers)
        assert status(verifier, token()) == 200
        clock.ahead = seconds - 1
        assert status(verifier, token()) == 200
        assert len(stub.seen) == 1
        clock.ahead = seconds + 1
        assert status(verifier, token()) == 200
        assert len(stub.seen) == 2

    def test_while_one_thread_renews_them_the_others_go_on_with_what_they_have(
        self, stub: Stub, verifier: TokenVerifier, clock: Clock
    ) -> None:
        assert status(verifier, token()) == 200
        asked, go_on = threading.Event(), threading.Event()

        def slowly(seen: Seen) -> bytes:
            asked.set()
            go_on.wait(10)
            return document(published())

        stub.reply = slowly
        clock.ahead = 301
        verifier._timeout = 10
        with ThreadPoolExecutor() as pool:
            renewing = pool.submit(status, verifier, token())
            assert asked.wait(10)
            assert status(verifier, token()) == 200
            assert not renewing.done()
            go_on.set()
            assert renewing.result() == 200
        assert len(stub.seen) == 2

    def test_an_unknown_kid_has_them_fetched_anew_but_not_at_once_again(
        self, stub: Stub, verifier: TokenVerifier, clock: Clock
    ) -> None:
        stub.reply = lambda seen: document(published(RING.partition(",")[2]))
        assert status(verifier, token("EdDSA")) == 200
        stub.reply = lambda seen: document(published())
        for _ in range(20):
            assert status(verifier, token("ES256")) == 401
        assert len(stub.seen) == 1
        clock.ahead = 11
        assert status(verifier, token("ES256")) == 200
        for number in range(20):
            assert status(verifier, token(headers={"kid": f"made-up-{number}"})) == 401
        assert len(stub.seen) == 2

    def test_one_taken_out_of_the_ring_ends(
        self, stub: Stub, verifier: TokenVerifier, clock: Clock
    ) -> None:
        assert status(verifier, token()) == 200
        stub.reply = lambda seen: document(published(RING.partition(",")[2]))
        clock.ahead = 301
        assert status(verifier, token()) == 401

    def test_while_they_cannot_be_renewed_they_serve_on_for_a_while(
        self, stub: Stub, verifier: TokenVerifier, clock: Clock
    ) -> None:
        assert status(verifier, token()) == 200
        stub.reply = lambda seen: error(500, "INTERNAL_ERROR")
        clock.ahead = 890
        assert status(verifier, token()) == 200
        clock.ahead = 902
        assert status(verifier, token()) == 503
        stub.reply = lambda seen: document(published())
        clock.ahead = 920
        assert status(verifier, token()) == 200

    OTHER_ANSWERS: dict[str, bytes] = {
        "500": error(500, "INTERNAL_ERROR"),
        "404": error(404, "NOT_FOUND"),
        "a page": http(200, b"<html>"),
        "a list": http(200, b"[]"),
        "no keys": http(200, b'{"keys": []}'),
        "keys that are none": http(200, b'{"keys": {"a": 1}}'),
        "nested without end": http(200, b"[" * 50_000),
        "a shared secret": http(
            200, b'{"keys":[{"kty":"oct","kid":"es256-1","alg":"HS256","k":"c2VjcmV0"}]}'
        ),
        "another curve": http(
            200, b'{"keys":[{"kty":"EC","crv":"P-384","kid":"es256-1","alg":"ES256"}]}'
        ),
        "a key without its members": http(
            200, b'{"keys":[{"kty":"EC","crv":"P-256","kid":"es256-1","alg":"ES256"}]}'
        ),
        "one for encryption": document(
            {"keys": [{**key, "use": "enc"} for key in published()["keys"]]}
        ),
        "cut short": document(published(), Content_Length="9999", Connection="close"),
        "too long": http(200, b" " * 300_000),
        "304 unasked": http(304),
        "an answer about a call": granted(),
    }

    @pytest.mark.parametrize("answer", OTHER_ANSWERS.values(), ids=OTHER_ANSWERS.keys())
    def test_without_any_it_is_503(
        self, stub: Stub, verifier: TokenVerifier, answer: bytes
    ) -> None:
        stub.reply = lambda seen: answer
        assert status(verifier, token()) == 503
        assert status(verifier, token()) == 503
        assert len(stub.seen) == 1  # nor is it asked again at once

    def test_a_redirect_is_not_followed(self, stub: Stub, verifier: TokenVerifier) -> None:
        with Stub(document(published())) as elsewhere:
            stub.reply = lambda seen: http(302, Location=elsewhere.url)
            assert status(verifier, token()) == 503
        assert elsewhere.connections == 0

    def test_a_server_that_hangs_is_503_in_time(self, stub: Stub, verifier: TokenVerifier) -> None:
        def hang(seen: Seen) -> None:
            stub.ended.wait(10)

        stub.reply = hang
        began = time.monotonic()
        assert status(verifier, token()) == 503
        assert time.monotonic() - began < 2

    def test_a_key_that_cannot_be_read_does_not_spoil_the_others(
        self, stub: Stub, verifier: TokenVerifier
    ) -> None:
        broken = {"kty": "OKP", "crv": "Ed25519", "kid": "b", "alg": "EdDSA", "x": "AA"}
        strange: list[Any] = [broken, {"kty": "new"}, {"kid": 5}, "x", None]
        stub.reply = lambda seen: document({"keys": strange + published()["keys"]})
        assert status(verifier, token()) == 200

    @pytest.mark.parametrize("url", ["", "auth.example.com", "file:///etc/passwd"])
    def test_an_address_that_is_none_is_refused_at_once(self, url: str) -> None:
        with pytest.raises(ValueError, match="address of a service"):
            TokenVerifier(url)
