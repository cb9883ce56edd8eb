"""A call is judged when its last byte is here: who holds it back gains nothing by it."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest

from fluxiq.tests.engines import PROJECT, require
from fluxiq.tests.gateway_case import API, Keys
from fluxiq.tests.gateways import Gateway, caddy, nginx, nginx_before_two, traefik
from fluxiq.tests.served import EMBEDDED, NO_LIMITS, Service, serving
from fluxiq.tests.upstreams import Upstream

pytestmark = pytest.mark.engine

# It takes nothing that is not gone already, and says so: 204.
HARMLESS = "/api/v1/auth/logout"
WRITES = ("post", "put", "patch", "delete")
BODY = b'{"name": "held back"}'


def writing_operations() -> list[tuple[str, str]]:
    """The method and path of each operation that writes and takes a credential in its header."""
    document = json.loads((PROJECT / "docs" / "openapi.json").read_text())
    return [
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method in WRITES and operation.get("security") and path != HARMLESS
    ]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(EMBEDDED, {**NO_LIMITS, "TRUSTED_PROXIES": "127.0.0.1/32"}, workers=1) as running:
        yield running


class Held:
    """A call whose last byte is not sent yet."""

    def __init__(self, port: int, method: str, path: str, credential: str) -> None:
        self.name = f"{method} {path}"
        path = path.replace("{", "none-").replace("}", "")
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {credential}\r\nContent-Length: {len(BODY)}\r\n\r\n"
        )
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._connection.sendall(head.encode() + BODY[:-1])

    def answered(self) -> int:
        """The status of the answer, once the last byte is sent."""
        with self._connection as connection:
            connection.sendall(BODY[-1:])
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer.status

    def is_answered(self) -> bool:
        """Whether there is an answer before that."""
        self._connection.settimeout(0.2)
        try:
            return bool(self._connection.recv(1))
        except TimeoutError:
            return False
        finally:
            self._connection.settimeout(20)


def test_every_writing_operation_is_refused_to_a_session_that_ended_meanwhile(
    service: Service,
) -> None:
    assert len(writing_operations()) >= 18
    port, dead = service.gunicorn.port, service.sign_in()["access_token"]
    held = [Held(port, method, path, dead) for method, path in writing_operations()]
    assert service.call("POST", f"{API}/auth/logout", dead).status == 204
    assert {call.name: call.answered() for call in held} == {call.name: 401 for call in held}


def test_and_not_to_one_that_lives(service: Service) -> None:
    statuses = {}
    for method, path in writing_operations():
        alive = service.sign_in()["access_token"]
        call = Held(service.gunicorn.port, method, path, alive)
        statuses[call.name] = call.answered()
    assert 401 not in statuses.values(), statuses


def test_every_writing_operation_is_refused_to_a_key_that_was_revoked_meanwhile(
    service: Service,
) -> None:
    keys = Keys(service)
    key_id, dead = keys.issue("accounts:write", "users:write")
    port = service.gunicorn.port
    held = [Held(port, method, path, dead) for method, path in writing_operations()]
    revoke(service, keys, key_id)
    assert {call.name: call.answered() for call in held} == {call.name: 401 for call in held}


def revoke(service: Service, keys: Keys, key_id: str) -> None:
    """End a key."""
    path = f"{API}/merchants/{keys.merchant_id}/api-keys/{key_id}"
    assert service.call("DELETE", path, service.sign_in()["access_token"]).status == 204


Start = Callable[[int, int], AbstractContextManager[Gateway]]


@pytest.mark.parametrize("start", [nginx_before_two, nginx, caddy, traefik])
def test_so_it_is_through_a_proxy(service: Service, start: Start) -> None:
    with ExitStack() as stack:
        port = service.gunicorn.port
        gateway = require(lambda: stack.enter_context(start(port, port)))
        dead = service.sign_in()["access_token"]
        held = [
            Held(gateway.port, method, path, dead)
            for method, path in writing_operations()
            if path.startswith((f"{API}/auth", f"{API}/merchants"))
        ]
        assert not held[0].is_answered()
        assert service.call("POST", f"{API}/auth/logout", dead).status == 204
        assert {call.name: call.answered() for call in held} == {call.name: 401 for call in held}


@pytest.mark.parametrize("start", [nginx, traefik])
def test_so_is_a_call_to_the_service_behind_the_gateway(service: Service, start: Start) -> None:
    keys = Keys(service)
    key_id, dead = keys.issue("pix:write")
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream())
        entered = start(service.gunicorn.port, upstream.port)
        gateway = require(lambda: stack.enter_context(entered))
        call = Held(gateway.port, "POST", f"{API}/pix", dead)
        assert not call.is_answered()
        revoke(service, keys, key_id)
        assert call.answered() == 401
        assert upstream.calls == []
