"""What only real workers show: exact counts, races, and bodies as servers hand them on."""

import http.client
import json
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fluxiq.tests.engines import require
from fluxiq.tests.served import ENGINES, SERVERS, Answer, Service, serving
from fluxiq.tests.valkey_server import start_valkey

pytestmark = pytest.mark.engine

API = "/api/v1"


@pytest.fixture(scope="module", params=ENGINES)
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """Four workers, with small limits for keys and users, and a wide one for addresses."""
    limits = {
        "RATE_LIMIT_API_KEY": "50/m",
        "RATE_LIMIT_JWT": "200/m",
        "RATE_LIMIT_ANONYMOUS": "100000/m",
    }
    with serving(request.param, limits) as running:
        yield running


def statuses(answers: Any) -> Counter[int]:
    """How often each status came."""
    return Counter(answer.status for answer in answers)


def assert_exact(answers: list[Answer], limit: int, status: int) -> None:
    """So many were admitted, and answered with that status, and all others were 429; a window may
    have begun in between."""
    windows: dict[str, Counter[int]] = {}
    for answer in answers:
        windows.setdefault(answer.headers["x-ratelimit-reset"], Counter())[answer.status] += 1
    for seen in windows.values():
        assert seen.keys() <= {status, 429}
        assert seen[status] == min(limit, seen.total()), windows
    assert any(seen[429] for seen in windows.values()), windows


def test_the_documented_sign_in_works_as_it_stands(service: Service) -> None:
    body = {"document": "12345678901", "password": "your-password"}
    pair = service.call("POST", f"{API}/auth/login", None, body).json["data"]
    accounts = service.call("GET", f"{API}/accounts", pair["access_token"])
    assert accounts.status == 200
    assert accounts.json["data"]
    assert service.call("GET", f"{API}/accounts", service.demo["key"]).status == 200


def test_a_key_is_admitted_exactly_its_limit_over_all_workers(service: Service) -> None:
    key = service.manage(
        "issue_api_key", service.demo["merchant_id"], "--name", "limit", "--permission", "pix:read"
    ).strip()
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda _: service.call("GET", f"{API}/auth/verify", key), range(150))
        )
    assert_exact(answers, 50, 200)


def test_of_fifty_parallel_refreshes_all_get_the_one_successor(service: Service) -> None:
    pair = service.sign_in()
    body = {"refresh_token": pair["refresh_token"]}
    with ThreadPoolExecutor(50) as pool:
        answers = list(
            pool.map(lambda _: service.call("POST", f"{API}/auth/refresh", None, body), range(50))
        )
    assert statuses(answers) == {200: 50}
    successors = {answer.json["data"]["refresh_token"] for answer in answers}
    assert len(successors) == 1
    again = service.call("POST", f"{API}/auth/refresh", None, {"refresh_token": successors.pop()})
    assert again.status == 200


def test_a_logout_holds_on_every_worker_at_once(service: Service) -> None:
    for _ in range(10):
        pair = service.sign_in(1)
        token = pair["access_token"]
        assert service.call("POST", f"{API}/auth/logout", token).status == 204
        with ThreadPoolExecutor(8) as pool:
            answers = list(
                pool.map(lambda t: service.call("GET", f"{API}/auth/me", t), [token] * 8)
            )
        assert statuses(answers) == {401: 8}


def test_of_parallel_acceptances_of_an_invitation_one_wins(service: Service) -> None:
    owner = service.sign_in()["access_token"]
    invited = service.call(
        "POST",
        f"{API}/users",
        owner,
        {"document": "86288366757", "name": "Ines", "role": "operator"},
    )
    assert invited.status == 201, invited
    body = {
        "invitation": invited.json["data"]["invitation"],
        "document": "86288366757",
        "password": "a password of her own",
    }
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda _: service.call("POST", f"{API}/auth/invitations/accept", None, body),
                range(4),
            )
        )
    seen = statuses(answers)
    assert seen[200] == 1, seen
    assert set(seen) <= {200, 401, 429, 503}  # 503 where too many hash at once


def test_a_merchant_keeps_an_owner_when_two_leave_at_once(service: Service) -> None:
    owner = service.sign_in()["access_token"]
    staff = service.manage(
        "shell",
        "-v0",
        "-c",
        "from accounts.models import User; from authn import sessions;"
        "u = User.objects.filter(is_superuser=True).first()"
        " or User.objects.create_superuser('52998224725', None, name='Root');"
        "print(sessions.start(u).access_token)",
    ).split()[-1]
    members = service.call("GET", f"{API}/users", owner).json["data"]
    manager = next(m for m in members if m["role"] == "manager")
    path = f"{API}/users/{manager['id']}"
    assert service.call("PATCH", path, staff, {"role": "owner"}).status == 200
    owners = [m["id"] for m in members if m["role"] == "owner"] + [manager["id"]]
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(
                lambda m: service.call("PATCH", f"{API}/users/{m}", staff, {"role": "operator"}),
                owners,
            )
        )
    assert sorted(a.status for a in answers) == [200, 409]
    loser = next(m for m, a in zip(owners, answers, strict=True) if a.status == 200)
    assert service.call("PATCH", f"{API}/users/{loser}", staff, {"role": "owner"}).status == 200


def raw(service: Service, request: bytes) -> bytes:
    """Whatever the server answers to these very bytes."""
    with socket.create_connection(("127.0.0.1", service.gunicorn.port), timeout=10) as connection:
        connection.sendall(request)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def test_a_chunked_body_is_read_like_any_other(service: Service) -> None:
    body = json.dumps({"document": "12345678901", "password": "your-password"}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", service.gunicorn.port, timeout=10)
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    connection.request(
        "POST", f"{API}/auth/login", iter([body[:10], body[10:]]), headers, encode_chunked=True
    )
    assert connection.getresponse().status == 200
    connection.close()


def test_an_oversize_body_is_413_however_it_is_framed(service: Service) -> None:
    framed = service.call("POST", f"{API}/auth/login", None, b"x" * 70_000)
    assert (framed.status, framed.json["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert framed.headers["x-ratelimit-limit"] == "100000"
    connection = http.client.HTTPConnection("127.0.0.1", service.gunicorn.port, timeout=10)
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    connection.request(
        "POST", f"{API}/auth/login", iter([b"x" * 40_000] * 2), headers, encode_chunked=True
    )
    assert connection.getresponse().status == 413
    connection.close()


def test_two_authorization_headers_are_refused(service: Service) -> None:
    token = service.sign_in()["access_token"].encode()
    header = b"Authorization: Bearer " + token + b"\r\n"
    start = b"GET /api/v1/auth/me HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    assert raw(service, start + header + b"\r\n").startswith(b"HTTP/1.1 200")
    assert raw(service, start + header + header + b"\r\n").startswith(b"HTTP/1.1 401")


def test_it_is_live_and_ready(service: Service) -> None:
    assert service.call("GET", "/healthz").status == 200
    assert service.call("GET", "/readyz").status == 200


def test_limits_go_on_when_the_counting_server_dies() -> None:
    valkey = require(lambda: start_valkey(None, "--maxmemory", "64mb"))
    environment = {"RATE_LIMIT_ANONYMOUS": "20/m", "REDIS_URL": valkey.url}
    with serving(SERVERS, environment, workers=2) as service:
        assert service.call("GET", f"{API}/auth/me").status == 401
        valkey.stop()
        answers = [service.call("GET", f"{API}/auth/me") for _ in range(60)]
    assert_exact(answers, 20, 401)
