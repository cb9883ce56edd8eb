"""authn.client: what is asked, what passes, and what is refused as the service said it."""

import asyncio
import json
import pickle
from typing import Any

import pytest

from authn.client import AsyncVerifier, Refused, Verifier
from authn.tests.asking import KEY, Ask, ask_sync, refused
from authn.tests.stub import LIMITS, UNAUTHORIZED, Stub, error, granted, http

pytestmark = pytest.mark.engine  # no database is touched: once is enough


def test_who_may_pass_is_told_with_what_they_hold(ask: Ask) -> None:
    with Stub(granted("pix:read pix:write", X_Auth_Merchants="mer_1,mer_2")) as stub:
        grant = ask(stub.url, KEY, "pix:write")
    assert (grant.kind, grant.subject) == ("api_key", "key_1")
    assert grant.merchants == ("mer_1", "mer_2")
    assert grant.permissions == {"pix:read", "pix:write"}
    assert grant.headers == {name.replace("_", "-"): value for name, value in LIMITS.items()}
    assert grant.holds_at("mer_2")
    assert not grant.holds_at("mer_3")
    assert not grant.holds_at("")


def test_platform_staff_hold_it_at_every_merchant() -> None:
    with Stub(granted(X_Auth_Kind="user", X_Auth_Merchants="*")) as stub:
        assert ask_sync(stub.url, KEY, "pix:write").holds_at("mer_9")


def test_the_question_is_the_callers_own(ask: Ask) -> None:
    with Stub(granted("pix:read pix:write")) as stub:
        ask(
            stub.url + "/",
            KEY,
            ["pix:read", "pix:write"],
            merchant_id="mer_1",
            peer="10.0.0.7",
            forwarded_for="203.0.113.9, 10.0.0.3",
            request_id="0123456789abcdef",
        )
    (seen,) = stub.seen
    assert (seen.method, seen.path) == ("GET", "/api/v1/auth/verify")
    assert seen.query == [
        ("permission", "pix:read"), ("permission", "pix:write"), ("merchant_id", "mer_1"),
    ]  # fmt: skip
    assert seen.headers["authorization"] == KEY
    assert seen.headers["x-forwarded-for"] == "203.0.113.9, 10.0.0.3, 10.0.0.7"
    assert seen.headers["x-request-id"] == "0123456789abcdef"
    assert "cookie" not in seen.headers


@pytest.mark.parametrize("kind", [Verifier, AsyncVerifier])
def test_a_timeout_is_a_time(kind: type[Verifier | AsyncVerifier]) -> None:
    for timeout in (0, -1):
        with pytest.raises(ValueError, match="the timeout is a positive number of seconds"):
            kind("http://127.0.0.1", timeout=timeout)


def test_one_that_asked_nothing_has_nothing_to_close() -> None:
    Verifier("http://127.0.0.1").close()
    asyncio.run(AsyncVerifier("http://127.0.0.1").aclose())


def test_a_bare_question_names_nobody(ask: Ask) -> None:
    with Stub(http(401, UNAUTHORIZED, WWW_Authenticate="Bearer")) as stub:
        assert refused(ask, stub.url, None, ()).status == 401
    (seen,) = stub.seen
    assert seen.query == []
    assert "authorization" not in seen.headers
    assert "x-forwarded-for" not in seen.headers
    assert seen.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("status", "code", "more", "headers"),
    [
        (400, "VALIDATION_ERROR", {"details": {}}, {}),
        (401, "UNAUTHORIZED", {}, {"WWW-Authenticate": "Bearer"}),
        (403, "FORBIDDEN", {"required_permission": "pix:write"}, {}),
        (429, "RATE_LIMITED", {"retry_after": 30}, {"Retry-After": "30", "RateLimit": '"k";r=0'}),
    ],
)
def test_a_refusal_is_passed_on_as_it_stands(
    ask: Ask, status: int, code: str, more: dict[str, Any], headers: dict[str, str]
) -> None:
    body = json.dumps({"error": {"code": code, "message": "so", **more}}, indent=1).encode()
    said = {**headers, "Cache-Control": "no-store", "X-Request-ID": "req_12345678"}
    said |= {name.replace("_", "-"): value for name, value in LIMITS.items()}
    raw = http(status, body, **said, Server="nginx", Set_Cookie="a=b", Vary="origin")
    with Stub(raw) as stub:
        refusal = refused(ask, stub.url, KEY, "pix:write")
    assert (refusal.status, refusal.body) == (status, body)
    assert refusal.headers == {**said, "Content-Type": "application/json"}


def test_a_question_that_cannot_be_asked_is_logged(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    with Stub(error(400, "VALIDATION_ERROR", "x is no permission")) as stub:
        assert refused(ask, stub.url, KEY, "x").status == 400
    assert "cannot be asked" in caplog.text
    assert "x is no permission" in caplog.text


class TestWhatClientsSend:
    @pytest.mark.parametrize(
        "header",
        ["", " ", "Bearer", "Bearer a\r\nX-Forwarded-For: 1.2.3.4", "Bearer \x00", "Bearer é",
         "Bearer \u2603", "Basic eDp5", "Bearer a, Bearer b", "Bearer " + "a" * 100_000, "\ud800"],
    )  # fmt: skip
    def test_whatever_the_header_is_the_question_is_asked_and_no_good_one_made_of_it(
        self, ask: Ask, header: str
    ) -> None:
        with Stub(http(401, UNAUTHORIZED)) as stub:
            assert refused(ask, stub.url, header, "pix:write").status == 401
        (seen,) = stub.seen
        assert "x-forwarded-for" not in seen.headers
        sent = seen.headers["authorization"]
        assert sent == header.strip() or "?" in sent

    def test_white_space_around_a_credential_is_none_of_it(self, ask: Ask) -> None:
        with Stub(granted()) as stub:
            ask(stub.url, f" {KEY} ", "pix:write")
        assert stub.seen[0].headers["authorization"] == KEY

    @pytest.mark.parametrize(
        ("forwarded_for", "chain"),
        [
            ("x\r\ny", "x??y, 10.0.0.7"),
            ("é, 1.1.1.1", "?, 1.1.1.1, 10.0.0.7"),
            ("9" * 5000 + "1.1.1.1", "?, 10.0.0.7"),
            (",".join(["1.1.1.1"] * 5000), "1.1.1.1, " * 16 + "10.0.0.7"),
            ("", "10.0.0.7"),
        ],
    )
    def test_the_peer_stands_last_whatever_was_claimed(
        self, ask: Ask, forwarded_for: str, chain: str
    ) -> None:
        with Stub(granted()) as stub:
            ask(stub.url, KEY, "pix:write", peer="10.0.0.7", forwarded_for=forwarded_for)
        assert stub.seen[0].headers["x-forwarded-for"] == chain

    @pytest.mark.parametrize(
        "given", ["short", "a b c d e f", "x" * 65, "a\r\nb: c12345678", "é" * 9]
    )
    def test_a_request_id_that_is_none_is_replaced(self, ask: Ask, given: str) -> None:
        with Stub(granted()) as stub:
            ask(stub.url, KEY, "pix:write", request_id=given)
        assert stub.seen[0].headers["x-request-id"].startswith("req_")

    def test_a_merchant_id_is_one_parameter_whatever_stands_in_it(self, ask: Ask) -> None:
        named = "mer_1&permission=pix:read#é\x00"
        with Stub(error(403, "FORBIDDEN")) as stub:
            assert refused(ask, stub.url, KEY, "pix:write", merchant_id=named).status == 403
        assert stub.seen[0].query == [("permission", "pix:write"), ("merchant_id", named)]


@pytest.mark.parametrize(
    "url",
    ["", "auth.example.com", "ftp://a", "http://", "http://u:p@a", "http://a?b=c", "http://a#b"],
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="address of a service"):
        Verifier(url)


def test_a_service_below_a_path_is_asked_there() -> None:
    with Stub(granted()) as stub:
        ask_sync(stub.url + "/inner/", KEY, "pix:write")
    assert stub.seen[0].path == "/inner/api/v1/auth/verify"


def test_a_refusal_survives_pickling() -> None:
    refusal = Refused(401, UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})
    copy = pickle.loads(pickle.dumps(refusal))  # noqa: S301 - our own bytes
    assert (copy.status, copy.body, copy.headers) == (401, UNAUTHORIZED, refusal.headers)
    assert copy.envelope == json.loads(UNAUTHORIZED)
