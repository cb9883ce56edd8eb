"""authn.client: whatever is no answer of the service is 503, and in time."""

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from authn.tests.asking import KEY, TIMEOUT, Ask, ask_sync, assert_unavailable, refused
from authn.tests.stub import Seen, Stub, error, granted, http
from fluxiq.tests.engines import free_port

pytestmark = pytest.mark.engine  # no database is touched: once is enough


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
