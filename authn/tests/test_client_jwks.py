"""authn.client.jwks: published keys are fetched once, kept for a while, and renewed."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from authn.client import jwks
from authn.client.jwks import TokenVerifier
from authn.tests.published import RING, document, published, status, token
from authn.tests.stub import Seen, Stub, error, granted, http

pytestmark = pytest.mark.engine  # no database is touched: once is enough


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
