"""authn.client: what is asked, what passes, and that nothing else does."""

import asyncio
import contextlib
import json
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from authn.client import AsyncVerifier, Grant, Refused, Verifier
from authn.client.verifier import _after_fork
from authn.tests.stub import LIMITS, UNAUTHORIZED, Seen, Stub, error, granted, http
from fluxiq.tests.engines import PROJECT, free_port

pytestmark = pytest.mark.engine  # no database is touched: once is enough

KEY = "Bearer sk_live_0123456789ABCDEFGHIJKLMNOPQRSTUV28hqg7"
TIMEOUT = 0.5


def ask_sync(url: str, *arguments: Any, **options: Any) -> Grant:
    """One question of a verifier of its own."""
    verifier = Verifier(url, timeout=TIMEOUT)
    try:
        return verifier.verify(*arguments, **options)
    finally:
        verifier.close()


def ask_async(url: str, *arguments: Any, **options: Any) -> Grant:
    """The same, on an event loop."""

    async def ask() -> Grant:
        verifier = AsyncVerifier(url, timeout=TIMEOUT)
        try:
            return await verifier.verify(*arguments, **options)
        finally:
            await verifier.aclose()

    return asyncio.run(ask())


Ask = Callable[..., Grant]


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Either verifier."""
    asks: Ask = request.param
    return asks


def refused(ask: Ask, url: str, *arguments: Any, **options: Any) -> Refused:
    """The refusal of a question."""
    with pytest.raises(Refused) as raised:
        ask(url, *arguments, **options)
    return raised.value


def assert_unavailable(refusal: Refused) -> None:
    """503 in the envelope, with an id to find it by and a time to come back."""
    assert refusal.status == 503
    error = refusal.envelope["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["code"] == "SERVICE_UNAVAILABLE"
    assert refusal.headers["X-Request-ID"] == error["request_id"]
    assert refusal.headers["Retry-After"] == "1"
    assert refusal.headers["Cache-Control"] == "no-store"
    assert refusal.headers["Content-Type"] == "application/json"


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


def test_a_connection_that_breaks_when_the_time_is_over_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ahead: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + sum(ahead))
    monkeypatch.setattr("authn.client.verifier.time", clock)

    def break_late(seen: Seen) -> None:
        ahead.append(TIMEOUT)

    with Stub(break_late) as stub:
        assert_unavailable(refused(ask_sync, stub.url, KEY, "pix:write"))
    assert len(stub.seen) == 1


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


def chunk_without_end(seen: Seen) -> bytes:
    return (
        granted()
        .replace(b"Content-Length: 11\r\n", b"Transfer-Encoding: chunked\r\n")
        .replace(b'{"data":{}}', b'b\r\n{"data":{}}\r\n')
    )


OTHER_ANSWERS: dict[str, bytes | Callable[[Seen], bytes | None]] = {
    "500": error(500, "INTERNAL_ERROR"),
    "503": error(503, "SERVICE_UNAVAILABLE"),
    "502 of a proxy": http(502, b"<html>", Content_Type="text/html"),
    "404": error(404, "NOT_FOUND"),
    "201 that grants": granted().replace(b"200", b"201"),
    "204": http(204),
    "304": http(304),
    "401 that is a page": http(401, b"<html>", Content_Type="text/html"),
    "401 in JSON of another": http(401, b'{"detail":"no"}'),
    "403 with the code of another": error(403, "UNAUTHORIZED"),
    "429 with no object": http(429, b'{"error":"slow down"}'),
    "200 of another server": http(200, b'{"data":{}}'),
    "200 that is a page": granted(Content_Type="text/html"),
    "200 that says it is text": granted(Content_Type="text/plain"),
    "200 with no type": granted(Content_Type=""),
    "200 with a body that is no JSON": granted().replace(b'"data"', b"'data'"),
    "200 with a list": granted().replace(b'{"data":{}}', b'["data",{}]'),
    "200 with an error": granted().replace(b'"data"', b'"fata"'),
    "200 nested without end": granted(Content_Length="50000").replace(
        b'{"data":{}}', b"[" * 50_000
    ),
    "200 for another permission": granted("pix:read"),
    "200 for a wildcard": granted("pix:*"),
    "200 without permissions": granted(""),
    "200 for another kind": granted(X_Auth_Kind="admin"),
    "200 for nobody": granted(X_Auth_Subject=""),
    "200 for another merchant": granted(X_Auth_Merchants="mer_2"),
    "200 for several merchants": granted(X_Auth_Merchants="mer_1,mer_2"),
    "200 for all merchants": granted(X_Auth_Merchants="*"),
    "200 cut short": granted(Content_Length="12", Connection="close"),
    "200 with a chunk too few": lambda seen: chunk_without_end(seen).replace(
        b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1
    ),
    "200 over 64 KiB": granted(Content_Length="70000").replace(b"{}}", b"{}}" + b" " * 69_989),
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "nothing": lambda seen: None,
}


@pytest.mark.parametrize("answer", OTHER_ANSWERS.values(), ids=OTHER_ANSWERS.keys())
def test_any_other_answer_is_503(ask: Ask, answer: Any) -> None:
    with Stub(answer) as stub:
        assert_unavailable(refused(ask, stub.url, KEY, "pix:write", merchant_id="mer_1"))
    assert stub.seen


def test_the_answers_that_are_no_grant_differ_from_one_only_in_what_is_wrong(ask: Ask) -> None:
    with Stub(granted()) as stub:
        assert ask(stub.url, KEY, "pix:write", merchant_id="mer_1").subject == "key_1"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_with_the_credential(ask: Ask, status: int) -> None:
    with Stub(granted()) as elsewhere:
        there = elsewhere.url + "/api/v1/auth/verify?permission=pix:write"
        with Stub(http(status, b"", Location=there)) as stub:
            assert_unavailable(refused(ask, stub.url, KEY, "pix:write"))
    assert len(stub.seen) == 1
    assert elsewhere.connections == 0


def test_a_refused_connection_is_503(ask: Ask) -> None:
    assert_unavailable(refused(ask, f"http://127.0.0.1:{free_port()}", KEY, "pix:write"))


@pytest.mark.parametrize("part", ["the answer", "the body"])
def test_a_server_that_hangs_is_503_within_the_time_out(ask: Ask, part: str) -> None:
    def hang(seen: Seen) -> bytes | None:
        if part == "the answer":
            stub.ended.wait(10)
            return None
        return granted(Content_Length="12")

    with Stub(hang) as stub:
        began = time.monotonic()
        assert_unavailable(refused(ask, stub.url, KEY, "pix:write"))
        took = time.monotonic() - began
    assert TIMEOUT <= took < TIMEOUT + 1
    assert len(stub.seen) == 1  # a question that was not answered in time is not asked again


def test_a_body_that_drips_is_503_within_the_time_out(ask: Ask) -> None:
    def drip(seen: Seen) -> Iterator[bytes]:
        yield granted(Content_Length="1000")
        while not stub.ended.wait(0.05):
            yield b" "

    with Stub(drip) as stub:
        began = time.monotonic()
        assert_unavailable(refused(ask, stub.url, KEY, "pix:write"))
        assert TIMEOUT <= time.monotonic() - began < TIMEOUT + 1


def test_what_failed_is_in_the_log_without_the_credential(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    with Stub(error(500, "INTERNAL_ERROR")) as stub:
        refused(ask, stub.url, KEY, "pix:write", request_id="from-the-gateway")
    assert "from-the-gateway: no answer of the authentication service: status 500" in caplog.text
    assert "sk_live_" not in caplog.text


def test_a_question_that_cannot_be_asked_is_logged(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    with Stub(error(400, "VALIDATION_ERROR", "x is no permission")) as stub:
        assert refused(ask, stub.url, KEY, "x").status == 400
    assert "cannot be asked" in caplog.text
    assert "x is no permission" in caplog.text


class TestConnections:
    def test_one_connection_serves_question_after_question(self) -> None:
        with Stub(granted()) as stub:
            verifier = Verifier(stub.url)
            for _ in range(20):
                verifier.verify(KEY, "pix:write")
            verifier.close()
        assert stub.connections == 1
        assert len(stub.seen) == 20  # and each is asked: no answer is kept

    def test_a_refusal_keeps_the_connection(self) -> None:
        with Stub(http(401, UNAUTHORIZED)) as stub:
            verifier = Verifier(stub.url)
            for _ in range(5):
                with pytest.raises(Refused):
                    verifier.verify(KEY, "pix:write")
            verifier.close()
        assert stub.connections == 1

    def test_one_that_broke_under_a_question_is_replaced(self, ask: Ask) -> None:
        replies: Iterator[bytes | None] = iter([None, granted()])
        with Stub(lambda seen: next(replies)) as stub:
            assert ask(stub.url, KEY, "pix:write").subject == "key_1"
        assert stub.connections == 2

    def test_one_that_the_server_gave_up_is_not_used_again(self) -> None:
        with Stub(granted(Connection="close")) as stub:
            verifier = Verifier(stub.url)
            for _ in range(3):
                verifier.verify(KEY, "pix:write")
            verifier.close()
        assert stub.connections == 3

    def test_a_closed_verifier_opens_anew(self) -> None:
        with Stub(granted()) as stub:
            verifier = Verifier(stub.url)
            for _ in range(2):
                verifier.verify(KEY, "pix:write")
                verifier.close()
        assert stub.connections == 2

    def test_threads_share_it_and_each_gets_its_own_answer(self) -> None:
        def reply(seen: Seen) -> bytes:
            return granted(X_Auth_Subject=seen.headers["authorization"].removeprefix("Bearer "))

        with Stub(reply) as stub:
            verifier = Verifier(stub.url)
            callers = [f"key_{number}" for number in range(200)]
            with ThreadPoolExecutor(8) as pool:
                subjects = list(
                    pool.map(lambda c: verifier.verify(f"Bearer {c}", "pix:write").subject, callers)
                )
            verifier.close()
        assert subjects == callers
        assert stub.connections <= 8

    def test_after_a_fork_no_connection_of_the_parent_is_used(self) -> None:
        with Stub(granted()) as stub:
            verifier = Verifier(stub.url, timeout=TIMEOUT)
            for _ in range(2):
                verifier.verify(KEY, "pix:write")
            assert stub.connections == 1
            with contextlib.closing(verifier._connected()):  # the parent's, and its to close
                _after_fork()
                verifier.verify(KEY, "pix:write")
            assert stub.connections == 2
            verifier.close()

    def test_a_forked_process_opens_its_own(self) -> None:
        script = """
import os, sys
from authn.client import Verifier
verifier = Verifier(sys.argv[1])
verifier.verify("Bearer parent", "pix:write")
child = os.fork()
for _ in range(20):
    name = "parent" if child else "child"
    assert verifier.verify("Bearer " + name, "pix:write").subject == name
if child:
    assert os.waitpid(child, 0)[1] == 0
    assert verifier.verify("Bearer parent", "pix:write").subject == "parent"
"""

        def reply(seen: Seen) -> bytes:
            return granted(X_Auth_Subject=seen.headers["authorization"].removeprefix("Bearer "))

        with Stub(reply) as stub:
            done = subprocess.run(
                [sys.executable, "-c", script, stub.url],
                cwd=PROJECT,
                capture_output=True,
                text=True,
                check=False,
            )
        assert done.returncode == 0, done.stderr
        assert stub.connections == 2

    def test_a_proxy_of_the_environment_does_not_see_the_credential(
        self, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Stub(granted()) as proxy, Stub(granted()) as stub:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, proxy.url)
            ask(stub.url, KEY, "pix:write")
        assert proxy.connections == 0
        assert stub.connections == 1


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
