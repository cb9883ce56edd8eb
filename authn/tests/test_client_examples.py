"""The example services, run as processes: behind the module, behind nginx, and in Node."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from authn.tests import examples
from authn.tests.examples import Example
from authn.tests.stub import UNAUTHORIZED, Seen, Stub, granted, http
from fluxiq.tests import gateways
from fluxiq.tests.engines import require
from fluxiq.tests.served import EMBEDDED, Service, serving

pytestmark = pytest.mark.engine

CHARGES = "/api/v1/pix/charges"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """The authentication service. It believes the examples about their callers' addresses."""
    limits = {"RATE_LIMIT_ANONYMOUS": "1000/m", "TRUSTED_PROXIES": "127.0.0.0/8"}
    with serving(EMBEDDED, limits, workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the Django example stands, alone."""
    return tmp_path_factory.mktemp("django")


@pytest.fixture(scope="module", params=["module", "nginx", "express"])
def example(request: pytest.FixtureRequest, service: Service, scratch: Path) -> Iterator[Any]:
    """The way to a service: its own question in Python, nginx's, or its own in Node."""
    url = service.gunicorn.url
    with ExitStack() as stack:
        if request.param == "module":
            yield stack.enter_context(examples.django_example(scratch, FLUXIQ_AUTH_URL=url))
        elif request.param == "express":
            program = require(examples.node)
            yield stack.enter_context(examples.express_example(program, url))
        else:
            behind = examples.django_example(scratch, FLUXIQ_GATEWAYS="127.0.0.0/8")
            inner = stack.enter_context(behind)
            yield stack.enter_context(gateways.nginx(service.gunicorn.port, inner.port))


@pytest.fixture(scope="module")
def keys(service: Service) -> dict[str, str]:
    """Keys of the demo's merchant: a sender, a reader, and a sender of few calls."""

    def issue(*options: str) -> str:
        merchant = service.demo["merchant_id"]
        return service.manage("issue_api_key", merchant, "--name", "k", *options).strip()

    return {
        "sender": issue("--permission", "pix:write", "pix:read"),
        "reader": issue("--permission", "pix:read"),
        "limited": issue("--permission", "pix:write", "--rate-limit", "3"),
    }


def test_who_holds_the_permission_passes_with_their_limits(
    service: Service, example: Example, keys: dict[str, str]
) -> None:
    for token, limit in (
        (keys["sender"], "1000"),
        (service.sign_in()["access_token"], "100"),
    ):
        reply = example.call("POST", CHARGES, token)
        assert reply.status == 201, reply
        assert reply.json["data"]["at"] == [service.demo["merchant_id"]]
        assert reply.json["data"]["by"].startswith(("key_", "usr_"))
        assert reply.headers["x-ratelimit-limit"] == limit
        assert int(reply.headers["x-ratelimit-remaining"]) < int(limit)


def test_who_does_not_is_403_and_told_what_is_missing(
    example: Example, keys: dict[str, str]
) -> None:
    reply = example.call("POST", CHARGES, keys["reader"])
    assert (reply.status, reply.json["error"]) == (
        403,
        {
            "code": "FORBIDDEN",
            "message": "Insufficient permissions for this operation",
            "required_permission": "pix:write",
        },
    )
    assert reply.headers["x-ratelimit-limit"] == "1000"
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("query", ["", "?access_token={key}", "?token={key}", "?permission="])
def test_who_names_no_credential_is_401_a_token_in_the_url_is_none(
    service: Service, example: Example, query: str
) -> None:
    path = CHARGES + query.format(key=service.demo["key"])
    reply = example.call("POST", path)
    assert (reply.status, reply.content) == (401, UNAUTHORIZED)
    assert reply.headers["www-authenticate"] == "Bearer"
    assert reply.headers["x-ratelimit-limit"] == "1000"
    assert reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize("token", ["sk_live_" + "0" * 38, "eyJ.eyJ.x", "x y", "a" * 5000])
def test_a_bad_credential_is_the_same_401(example: Example, token: str) -> None:
    reply = example.call("POST", CHARGES, token)
    assert (reply.status, reply.content) == (401, UNAUTHORIZED)


def test_nobody_names_themselves(example: Example) -> None:
    forged = [
        ("X-Auth-Kind", "user"),
        ("X-Auth-Subject", "usr_1"),
        ("X-Auth-Merchants", "*"),
        ("X-Auth-Permissions", "pix:write"),
    ]
    assert example.call("POST", CHARGES, headers=forged).status == 401


def test_too_much_is_429_with_the_time_to_wait(example: Example, keys: dict[str, str]) -> None:
    replies = [example.call("POST", CHARGES, keys["limited"]) for _ in range(8)]
    limited = next(reply for reply in replies if reply.status == 429)
    seconds = limited.json["error"]["retry_after"]
    assert limited.json["error"]["code"] == "RATE_LIMITED"
    assert limited.headers["retry-after"] == str(seconds)
    assert limited.headers["x-ratelimit-remaining"] == "0"
    assert 1 <= seconds <= 60


def test_a_revocation_holds_at_the_next_call(service: Service, example: Example) -> None:
    token = service.sign_in(1)["access_token"]
    assert example.call("POST", CHARGES, token).status == 201
    assert service.call("POST", "/api/v1/auth/logout", token).status == 204
    assert example.call("POST", CHARGES, token).status == 401


@pytest.fixture(params=["django", "express"])
def asking(request: pytest.FixtureRequest, scratch: Path) -> Any:
    """How to start an example that asks a service at that URL."""
    if request.param == "django":
        return lambda url: examples.django_example(scratch, FLUXIQ_AUTH_URL=url)
    program = require(examples.node)
    return lambda url: examples.express_example(program, url)


def told(answer: bytes, seen: Seen) -> bytes:
    """The same answer, whatever was asked."""
    return answer


def test_whatever_is_no_answer_is_503_and_passes_nobody(asking: Any) -> None:
    answers: list[Any] = [
        http(500, b"<html>", Content_Type="text/html"),
        granted("pix:read"),
        http(200, b'{"data":{}}'),
        granted(Content_Length="12", Connection="close"),
        http(401, b'{"detail":"no"}'),
    ]
    with ExitStack() as stack:
        elsewhere = stack.enter_context(Stub(granted()))
        stub = Stub(granted())
        example = stack.enter_context(asking(stub.url))
        with stub:
            assert example.call("POST", CHARGES, "key").status == 201
            answers.append(http(307, Location=f"{elsewhere.url}/"))
            for answer in answers:
                stub.reply = partial(told, answer)
                reply = example.call("POST", CHARGES, "key")
                assert (reply.status, reply.json["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
                assert reply.headers["retry-after"] == "1"
            assert elsewhere.connections == 0

            def hang(seen: Seen) -> None:
                stub.ended.wait(10)

            stub.reply = hang
            assert example.call("POST", CHARGES, "key").status == 503

        # And where nobody listens any more.
        assert example.call("POST", CHARGES, "key").status == 503


def test_the_examples_pass_on_whose_call_it_is(asking: Any) -> None:
    with Stub(granted()) as stub, asking(stub.url) as example:
        headers = [("X-Forwarded-For", "203.0.113.9"), ("X-Request-ID", "id-of-the-gateway")]
        assert example.call("POST", CHARGES, "key", headers=headers).status == 201
    (seen,) = stub.seen
    assert seen.query == [("permission", "pix:write")]
    assert seen.headers["authorization"] == "Bearer key"
    assert seen.headers["x-request-id"] == "id-of-the-gateway"
    assert seen.headers["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
