"""granian, another WSGI server, serves the application too: the core of the contract holds."""

import http.client
import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fluxiq.tests.engines import require
from fluxiq.tests.gateways import program
from fluxiq.tests.gunicorn_server import Gunicorn
from fluxiq.tests.served import EMBEDDED, NO_LIMITS, Service, serving

pytestmark = pytest.mark.engine

API = "/api/v1"


class Granian(Gunicorn):
    """granian, in gunicorn's place."""

    def command(self) -> Sequence[str | Path]:
        """What is started. Raises EngineUnavailable."""
        granian = program("granian", "it comes with requirements-dev.lock")
        where = ["--host", "127.0.0.1", "--port", str(self.port)]
        shape = ["--workers", "1", "--blocking-threads", "4", "--no-ws"]
        return [granian, "--interface", "wsgi", *where, *shape, "fluxiq.wsgi:application"]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    started = serving(EMBEDDED, NO_LIMITS, server=Granian)
    running = require(started.__enter__)
    yield running
    started.__exit__(None, None, None)


def test_callers_are_admitted_and_refused(service: Service) -> None:
    token, key = service.sign_in()["access_token"], service.demo["key"]
    assert service.call("GET", f"{API}/auth/me", token).status == 200
    assert service.call("GET", f"{API}/auth/verify?permission=pix:write", key).status == 200
    assert service.call("GET", f"{API}/auth/verify?permission=users:write", key).status == 403
    for credential in (None, "sk_live_none", token + "x"):
        refused = service.call("GET", f"{API}/auth/me", credential)
        assert (refused.status, refused.json["error"]["code"]) == (401, "UNAUTHORIZED")
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.headers["cache-control"] == "no-store"
        assert "x-ratelimit-limit" in refused.headers
        assert "x-request-id" in refused.headers


def test_what_was_ended_is_refused_at_the_next_call(service: Service) -> None:
    token = service.sign_in()["access_token"]
    assert service.call("POST", f"{API}/auth/logout", token).status == 204
    assert service.call("GET", f"{API}/auth/me", token).status == 401


def test_pages_files_and_heads_are_served(service: Service) -> None:
    for path in ("/healthz", "/readyz", "/admin/login/", "/static/fluxiq/docs.css", f"{API}/docs"):
        assert service.call("GET", path).status == 200
        head = service.call("HEAD", path)
        assert (head.status, head.content) in ((200, b""), (405, b""))


@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_body_is_read_up_to_its_bound(service: Service, is_chunked: bool) -> None:
    for path, size, status in (
        (f"{API}/auth/login", 100, 400),
        (f"{API}/auth/login", 70_000, 413),
        ("/admin/login/", 70_000, 413),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", service.gunicorn.port, timeout=10)
        body = iter([b"x" * size]) if is_chunked else b"x" * size
        headers = {"Content-Type": "application/json"}
        connection.request("POST", path, body, headers, encode_chunked=is_chunked)
        answer = connection.getresponse()
        assert answer.status == status
        expected = "VALIDATION_ERROR" if status == 400 else "PAYLOAD_TOO_LARGE"
        assert json.loads(answer.read())["error"]["code"] == expected
        connection.close()


def test_a_call_is_judged_when_its_last_byte_is_there(service: Service) -> None:
    token, body = service.sign_in()["access_token"], b'{"name": "held back"}'
    with socket.create_connection(("127.0.0.1", service.gunicorn.port), timeout=10) as client:
        head = (
            f"POST {API}/accounts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        )
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body[:-1])
        assert service.call("POST", f"{API}/auth/logout", token).status == 204
        client.sendall(body[-1:])
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert answer.status == 401


def test_a_client_that_breaks_off_in_its_body_is_no_fault(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.gunicorn.port), timeout=10) as client:
        head = f"POST {API}/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
        client.sendall(head.encode() + b"{")
    assert service.call("GET", "/healthz").status == 200
    assert "Traceback" not in service.gunicorn.log()
    assert "ERROR" not in service.gunicorn.log()
