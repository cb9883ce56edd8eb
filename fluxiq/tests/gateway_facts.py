"""What holds behind every gateway. Each gateway's own test file derives from `GatewayFacts`."""

import http.client
import json
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, ClassVar

import pytest

from fluxiq.scopes import Scope
from fluxiq.tests.engines import free_port
from fluxiq.tests.gateways import Edit, Gateway, Reply, Start, send
from fluxiq.tests.served import EMBEDDED, Service, serving
from fluxiq.tests.upstreams import Relay, Upstream, mute

API = "/api/v1"
KEY_LIMIT = 30

RESOURCES = ("accounts", "pix", "transfers", "transactions", "webhooks", "users")
READING, WRITING = ("GET", "HEAD"), ("POST", "PUT", "PATCH", "DELETE")

# Paths that no rule names.
UNNAMED = (
    "/",
    "/api/v1",
    "/api/v1/",
    "/api/v1/pixel",
    "/api/v1/pix-keys",
    "/api/v2/pix",
    "/API/V1/PIX",
    "/pix",
    "/x/api/v1/pix",
    "/admin/",
    "/healthz",
    "/api/v1/openapi.json",
)
# Paths that a gateway and a service could read in two ways.
AMBIGUOUS = (
    "/api/v1/users/..%2fpix/x",
    "/api/v1/users/..%2Fpix",
    "/api/v1/users%2f..%2fpix",
    "/api/v1/users/../pix/x",
    "/api/v1/pix/../users",
    "/api/v1/pix/%2e%2e/users",
    "/api/v1/pix/.%2E/users",
    "/api/v1/pix/..;/users",
    "/api/v1/pix;x=1/users",
    "/api/v1/pix//users",
    "//api/v1/pix",
    "/api/v1/./pix",
    "/api/v1/pix/..%5cusers",
    "/api/v1/pix/..\\users",
    "/api/v1/pix/%252e%252e/users",
    "/api/v1/pix/%00",
)

ENVELOPE_503 = {"code": "SERVICE_UNAVAILABLE", "message": "The service is temporarily unavailable"}
LIMIT_HEADERS = (
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "RateLimit-Policy",
    "RateLimit",
)

needs_loopback_network = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has the whole of 127.0.0.0/8"
)


def needed(method: str, resource: str) -> str | None:
    """The permission of a method on a resource, None where there is none."""
    action = "read" if method in READING else "write" if method in WRITING else ""
    scope = f"{resource}:{action}"
    return scope if scope in set(Scope) else None


class Keys:
    """API keys of the demo's merchant, each new one issued over HTTP."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._owner = service.sign_in()["access_token"]
        self.merchant_id: str = service.demo["merchant_id"]

    def issue(self, *permissions: str, **fields: Any) -> tuple[str, str]:
        """The id and the secret of a new key."""
        body = {"name": "a gateway's test", "permissions": list(permissions), **fields}
        path = f"{API}/merchants/{self.merchant_id}/api-keys"
        answer = self._service.call("POST", path, self._owner, body)
        assert answer.status == 201, answer
        return answer.json["data"]["id"], answer.json["data"]["key"]

    def secret(self, *permissions: str, **fields: Any) -> str:
        """The secret of a new key."""
        return self.issue(*permissions, **fields)[1]


@contextmanager
def guarding() -> Iterator[Service]:
    """The service as gateways ask it: it trusts them about the client's address."""
    settings = {
        "TRUSTED_PROXIES": "127.0.0.1/32",
        "RATE_LIMIT_API_KEY": f"{KEY_LIMIT}/m",
        "RATE_LIMIT_JWT": "100000/m",
        "RATE_LIMIT_ANONYMOUS": "1000/m",
    }
    with serving(EMBEDDED, settings, workers=2) as running:
        yield running


def counted(service: Service, key: str) -> int:
    """How many have counted to a key, this question among them, with seconds left in its window."""
    while True:
        told = service.call("GET", f"{API}/auth/verify", key).headers
        left = int(told["x-ratelimit-reset"]) - time.time()
        if left > 4:
            return int(told["x-ratelimit-limit"]) - int(told["x-ratelimit-remaining"])
        time.sleep(left)


def counts(replies: Sequence[Reply]) -> dict[str, list[int]]:
    """By window, how many had counted in the bucket at each of these, in order."""
    found: dict[str, list[int]] = defaultdict(list)
    for reply in replies:
        limit, left = (int(reply.headers[f"x-ratelimit-{n}"]) for n in ("limit", "remaining"))
        found[reply.headers["x-ratelimit-reset"]].append(limit - left)
    return found


def assert_each_counted_once(replies: Sequence[Reply]) -> None:
    """That the bucket went up by one with each of these, which begin with its first."""
    for window in counts(replies).values():
        assert window == list(range(1, len(window) + 1)), counts(replies)


class GatewayFacts:
    """The facts. A derived class names the gateway, and what it cannot do."""

    start: ClassVar[Start]
    misspelling: ClassVar[Edit]
    # Where its anonymous clients are: each gateway's count for themselves at the one service.
    network: ClassVar[str]
    # Whether it judges, and passes on, `/a/../b` as `/b`, where others refuse it.
    resolves_paths: ClassVar[bool] = False
    # Answers of a server that is not the service, which it must not take for an admission.
    strange: ClassVar[Sequence[int]] = (200, 201, 204, 301, 302, 304)
    # How long a client waits at most where the service does not answer.
    patience: ClassVar[float] = 5.0

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[Upstream]:
        """The one upstream of a class."""
        with Upstream() as running:
            yield running

    @pytest.fixture
    def upstream(self, server: Upstream) -> Upstream:
        """The upstream, with nothing in its memory."""
        server.forget()
        return server

    @pytest.fixture(scope="class")
    @classmethod
    def gateway(cls, service: Service, server: Upstream) -> Iterator[Gateway]:
        """The gateway between the two."""
        with cls.start(service.gunicorn.port, server.port) as running:
            yield running

    # What may pass

    @pytest.mark.parametrize("resource", RESOURCES)
    def test_each_method_needs_the_permission_of_its_path(
        self, resource: str, gateway: Gateway, keys: Keys, upstream: Upstream
    ) -> None:
        scopes = {needed(m, resource) for m in READING + WRITING} - {None}
        holder = {scope: keys.secret(scope) for scope in scopes if scope is not None}
        outsider = keys.secret(*(scope for scope in Scope if scope not in scopes))
        for method in (*READING, *WRITING):
            scope = needed(method, resource)
            for path in (f"{API}/{resource}", f"{API}/{resource}/x%40y/1?a=b&c=%2f"):
                upstream.forget()
                if scope is None:
                    everything = keys.secret(*Scope)
                    assert gateway.call(method, path, everything).status in {403, 404}
                    assert not upstream.calls
                    continue
                refused = gateway.call(method, path, outsider)
                assert refused.status == 403, (method, path)
                if method != "HEAD":
                    assert refused.json["error"]["required_permission"] == scope
                assert not upstream.calls
                assert gateway.call(method, path, holder[scope]).status == 200, (method, path)
                assert [(c.method, c.path) for c in upstream.calls] == [(method, path)]

    def test_what_no_rule_names_reaches_nobody(
        self, gateway: Gateway, service: Service, keys: Keys, upstream: Upstream
    ) -> None:
        key = keys.secret(*Scope)
        before = counted(service, key)
        for path in UNNAMED:
            assert gateway.call("GET", path, key).status in {403, 404}, path
        for method in ("OPTIONS", "TRACE", "PROPFIND", "get"):
            assert gateway.call(method, f"{API}/pix", key).status in {400, 403, 404, 405}, method
        assert not upstream.calls
        assert counted(service, key) == before + 1

    def test_a_path_that_can_be_read_in_two_ways_reaches_nobody(
        self, gateway: Gateway, keys: Keys, upstream: Upstream
    ) -> None:
        key = keys.secret("pix:read")
        for path in AMBIGUOUS:
            status = gateway.call("GET", path, key).status
            assert status in {400, 403, 404} or self.resolves_paths, path
        for call in upstream.calls:
            assert self.resolves_paths
            assert re.fullmatch(r"/api/v1/pix(/[a-z]+)*", call.path)

    def test_the_clients_query_is_the_upstreams_alone(
        self, gateway: Gateway, keys: Keys, upstream: Upstream
    ) -> None:
        path = f"{API}/pix?permission=users:write&merchant_id=mer_x&permission=nope&a=%26"
        assert gateway.call("GET", path, keys.secret("pix:read")).status == 200
        assert [call.path for call in upstream.calls] == [path]

    # What a refusal looks like

    def test_a_refusal_is_the_services_own(
        self, gateway: Gateway, service: Service, keys: Keys, upstream: Upstream
    ) -> None:
        key = keys.secret("accounts:read")
        question = f"{API}/auth/verify?permission=pix:write"
        for token, status in ((None, 401), ("sk_live_x", 401), (key, 403)):
            through = gateway.call("POST", f"{API}/pix", token, b"{}")
            direct = service.call("GET", question, token)
            assert through.status == direct.status == status
            assert through.content == direct.content
            assert through.all("Content-Type") == [direct.headers["content-type"]]
            assert through.all("Cache-Control") == ["no-store"]
            assert through.all("WWW-Authenticate") == (["Bearer"] if status == 401 else [])
            for name in (*LIMIT_HEADERS, "X-Request-ID"):
                assert len(through.all(name)) == 1, name
            assert through.headers["ratelimit-policy"] == direct.headers["ratelimit-policy"]
        assert not upstream.calls

    def test_each_call_counts_once_admitted_or_refused(
        self, gateway: Gateway, service: Service, keys: Keys, upstream: Upstream
    ) -> None:
        key = keys.secret("pix:read")
        calls = (("GET", "pix", 200), ("POST", "pix", 403), ("GET", "users", 403)) * 5
        before = counted(service, key)
        for method, path, status in calls:
            assert gateway.call(method, f"{API}/{path}", key).status == status
        assert counted(service, key) == before + len(calls) + 1
        assert len(upstream.calls) == 5

    def test_one_too_many_is_429_as_the_service_says_it(
        self, gateway: Gateway, service: Service, keys: Keys, upstream: Upstream
    ) -> None:
        key = keys.secret("pix:read")
        left = KEY_LIMIT - counted(service, key)
        for _ in range(left):
            assert gateway.call("GET", f"{API}/pix", key).status == 200
        limited = gateway.call("GET", f"{API}/pix", key)
        assert limited.status == 429
        assert len(upstream.calls) == left

        error = limited.json["error"]
        wait = error["retry_after"]
        assert 1 <= wait <= 60
        assert error == {
            "code": "RATE_LIMITED",
            "message": f"Rate limit exceeded. Retry after {wait} seconds",
            "retry_after": wait,
        }
        assert limited.all("Retry-After") == [str(wait)]
        assert limited.all("X-RateLimit-Limit") == [str(KEY_LIMIT)]
        assert limited.all("X-RateLimit-Remaining") == ["0"]
        assert limited.all("Cache-Control") == ["no-store"]
        for name in (*LIMIT_HEADERS, "X-Request-ID", "Content-Type"):
            assert len(limited.all(name)) == 1, name

    def test_of_many_at_once_exactly_the_limit_passes(
        self, gateway: Gateway, service: Service, keys: Keys, upstream: Upstream
    ) -> None:
        key = keys.secret("pix:write")
        left = KEY_LIMIT - counted(service, key)
        with ThreadPoolExecutor(16) as pool:
            replies = list(
                pool.map(
                    lambda i: gateway.call("POST", f"{API}/pix/{i}", key, b"%d" % i),
                    range(2 * KEY_LIMIT),
                )
            )
        assert Counter(r.status for r in replies) == {200: left, 429: 2 * KEY_LIMIT - left}
        assert len(upstream.calls) == left
        for call in upstream.calls:  # bodies did not change places
            assert call.digest == sha256(call.path.rpartition("/")[2].encode()).hexdigest()

    @needs_loopback_network
    def test_a_refused_call_counts_once_to_its_address(
        self, gateway: Gateway, upstream: Upstream
    ) -> None:
        replies = [gateway.call("GET", f"{API}/pix", source=f"{self.network}.21") for _ in range(5)]
        assert {reply.status for reply in replies} == {401}
        assert_each_counted_once(replies)

    def test_a_misspelt_permission_in_the_map_is_400_for_everyone(
        self, service: Service, keys: Keys, upstream: Upstream
    ) -> None:
        key = keys.secret(*Scope)
        with self.start(service.gunicorn.port, upstream.port, self.misspelling) as gateway:
            for method in ("GET", "HEAD"):
                reply = gateway.call(method, f"{API}/pix", key)
                assert reply.status == 400
            reply = gateway.call("GET", f"{API}/pix", key)
            assert reply.json["error"]["code"] == "VALIDATION_ERROR"
            assert "permission" in reply.json["error"]["details"]
            assert gateway.call("GET", f"{API}/users", key).status == 200
        assert [call.path for call in upstream.calls] == [f"{API}/users"]

    def test_a_token_in_the_query_is_none(
        self, gateway: Gateway, keys: Keys, upstream: Upstream
    ) -> None:
        key = keys.secret("pix:read")
        for name in ("access_token", "token", "Authorization"):
            assert gateway.call("GET", f"{API}/pix?{name}={key}").status == 401
        assert not upstream.calls

    def test_two_credentials_are_none(
        self, gateway: Gateway, keys: Keys, upstream: Upstream
    ) -> None:
        key = keys.secret("pix:read")
        for first, second in ((key, "sk_live_x"), ("sk_live_x", key), (key, key)):
            headers = [("Authorization", f"Bearer {first}"), ("authorization", f"Bearer {second}")]
            assert gateway.call("GET", f"{API}/pix", headers=headers).status in {400, 401}
        assert not upstream.calls

    # What the upstream sees

    def test_the_upstream_is_told_who_calls(
        self, gateway: Gateway, keys: Keys, upstream: Upstream
    ) -> None:
        key_id, key = keys.issue("pix:write", "accounts:read")
        assert gateway.call("POST", f"{API}/pix", key, b"{}").status == 200
        (call,) = upstream.calls
        assert call.all("X-Auth-Kind") == ["api_key"]
        assert call.all("X-Auth-Subject") == [key_id]
        assert call.all("X-Auth-Merchants") == [keys.merchant_id]
        assert call.all("X-Auth-Permissions") == ["accounts:read pix:write"]
        assert call.all("Authorization") == []

    def test_a_client_cannot_say_who_it_is(
        self, gateway: Gateway, keys: Keys, upstream: Upstream
    ) -> None:
        key_id, key = keys.issue("pix:read")
        truth = {
            "kind": "api_key",
            "subject": key_id,
            "merchants": keys.merchant_id,
            "permissions": "pix:read",
        }
        spellings = ["X-Auth-{}", "x-auth-{}", "X-Auth_{}", "X_AUTH-{}", "x_auth_{}"]
        # Whatever else may stand in the name of a header (RFC 9110, section 5.6.2).
        spellings += [f"X{mark}Auth{mark}{{}}" for mark in "_.~!#$%&'+^`|*"]
        for spelling in spellings:
            forged = [(spelling.format(name), "forged") for name in ("Subject", "Kind") * 2]
            forged += [(spelling.format(name.upper()), "forged") for name in truth]
            reply = gateway.call("GET", f"{API}/pix", key, headers=forged)
            assert reply.status in {200, 400}, spelling
        assert len(upstream.calls) >= 2
        for call in upstream.calls:
            told: dict[str, list[str]] = defaultdict(list)
            for name, value in call.headers:
                plain = re.sub(r"[^a-z0-9]", "-", name.lower())
                if plain.startswith("x-auth-"):
                    told[plain.removeprefix("x-auth-")].append(value)
            assert told == {name: [value] for name, value in truth.items()}

    def test_a_client_cannot_take_away_what_the_upstream_is_told(
        self, gateway: Gateway, keys: Keys, upstream: Upstream
    ) -> None:
        key_id, key = keys.issue("pix:read")
        headers = [("Connection", "keep-alive, X-Auth-Subject, X-Auth-Merchants, X-Forwarded-For")]
        assert gateway.call("GET", f"{API}/pix", key, headers=headers).status == 200
        (call,) = upstream.calls
        assert call.all("X-Auth-Subject") == [key_id]
        assert call.all("X-Auth-Merchants") == [keys.merchant_id]
        assert call.all("X-Forwarded-For") == ["127.0.0.1"]

    def test_a_caller_with_many_merchants_is_passed_on(self, upstream: Upstream) -> None:
        merchants = ",".join(f"mer_{i:026}" for i in range(500))
        answer = (
            ("Content-Type", "application/json"),
            ("X-Auth-Kind", "user"),
            ("X-Auth-Subject", "usr_1"),
            ("X-Auth-Merchants", merchants),
        )
        with (
            Upstream(headers=answer) as verifier,
            self.start(verifier.port, upstream.port) as gateway,
        ):
            assert gateway.call("GET", f"{API}/pix", "any").status == 200
        assert upstream.calls[0].all("X-Auth-Merchants") == [merchants]

    @needs_loopback_network
    def test_the_clients_address_is_the_peers_whatever_it_says(
        self, gateway: Gateway, keys: Keys, upstream: Upstream
    ) -> None:
        key = keys.secret("pix:read", allowed_ips=["127.0.0.33/32"])
        assert gateway.call("GET", f"{API}/pix", key, source="127.0.0.33").status == 200
        assert upstream.calls[0].all("X-Forwarded-For") == ["127.0.0.33"]
        for lie in (
            [("X-Forwarded-For", "127.0.0.33")],
            [("X-Forwarded-For", "127.0.0.33"), ("X-Forwarded-For", "127.0.0.33")],
            [("X_Forwarded_For", "127.0.0.33")],
            [("X-Real-IP", "127.0.0.33"), ("Forwarded", "for=127.0.0.33")],
            [("X-Forwarded-For", "127.0.0.33"), ("Connection", "X-Forwarded-For")],
        ):
            reply = gateway.call("GET", f"{API}/pix", key, headers=lie, source="127.0.0.34")
            assert reply.status == 401, lie
            # Nor from an address that the service would believe.
            assert gateway.call("GET", f"{API}/pix", key, headers=lie).status == 401, lie
        assert len(upstream.calls) == 1

    @needs_loopback_network
    def test_a_client_cannot_count_elsewhere(self, gateway: Gateway, upstream: Upstream) -> None:
        lies: tuple[list[tuple[str, str]], ...] = (
            [("X-Forwarded-For", "198.51.100.1")],
            [("Connection", "close, X-Forwarded-For")],
            [("X-Forwarded-For", "198.51.100.2"), ("Connection", "x-forwarded-for")],
            [("X_Forwarded_For", "198.51.100.3")],
        )
        replies = [
            gateway.call("GET", f"{API}/pix", headers=lie, source=f"{self.network}.41")
            for lie in lies
        ]
        assert {reply.status for reply in replies} == {401}
        assert_each_counted_once(replies)

    # What passes untouched

    @pytest.mark.parametrize("chunked", [False, True], ids=["of known length", "chunked"])
    def test_five_megabytes_pass_and_the_service_sees_none_of_them(
        self, chunked: bool, service: Service, keys: Keys, upstream: Upstream
    ) -> None:
        key = keys.secret("pix:write")
        body = bytes(i * 7 % 251 for i in range(5000)) * 1000
        with (
            Relay(service.gunicorn.port) as relay,
            self.start(relay.port, upstream.port) as gateway,
        ):
            if chunked:
                connection = gateway.connect()
                pieces = (body[i : i + 100_000] for i in range(0, len(body), 100_000))
                connection.request(
                    "POST",
                    f"{API}/pix",
                    pieces,
                    {"Authorization": f"Bearer {key}"},
                    encode_chunked=True,
                )
                assert connection.getresponse().status == 200
                connection.close()
            else:
                assert gateway.call("POST", f"{API}/pix", key, body).status == 200
            assert relay.sent < 4000
        (call,) = upstream.calls
        assert (call.length, call.digest) == (len(body), sha256(body).hexdigest())

    def test_connections_to_both_are_kept(
        self, service: Service, keys: Keys, upstream: Upstream
    ) -> None:
        key = keys.secret("pix:write")
        with (
            Relay(service.gunicorn.port) as relay,
            self.start(relay.port, upstream.port) as gateway,
        ):
            connection = gateway.connect()
            statuses = []
            for i in range(KEY_LIMIT):
                method = ("POST", "GET")[i % 2]
                statuses.append(send(connection, method, f"{API}/pix", key, body=b"x").status)
            connection.close()
            assert set(statuses) <= {200, 403}
            assert upstream.connections <= 4
            assert relay.connections <= 4

    def test_the_upstreams_answer_is_its_own(
        self, service: Service, keys: Keys, upstream: Upstream
    ) -> None:
        key = keys.secret("pix:read")
        headers = (
            ("Cache-Control", "private, max-age=5"),
            ("X-Auth-Subject", "not for clients to believe"),
            ("Location", "/elsewhere"),
            ("X-Accel-Redirect", "/api/v1/pix/secret"),
            ("X-RateLimit-Limit", "7"),
        )
        with (
            Upstream(200, b"\x00\xffas it is", headers) as own,
            self.start(service.gunicorn.port, own.port) as gateway,
        ):
            for status in (201, 204, 302, 400, 401, 403, 404, 409, 429, 500, 502, 503):
                own.forget()
                own.status = status
                reply = gateway.call("GET", f"{API}/pix", key)
                assert reply.status == status
                assert reply.content == (b"" if status == 204 else b"\x00\xffas it is")
                assert reply.all("Cache-Control") == ["private, max-age=5"]
                assert reply.all("Location") == ["/elsewhere"]
                assert len(own.calls) == 1
                self.assert_limits_told(reply)

    def assert_limits_told(self, reply: Reply) -> None:
        """That an admitted call's answer carries the service's limit headers, and no others."""
        assert reply.all("X-RateLimit-Limit") == [str(KEY_LIMIT)]
        for name in LIMIT_HEADERS:
            assert len(reply.all(name)) == 1, name
        assert len(reply.all("X-Request-ID")) == 1

    def test_the_limits_reach_the_client_when_admitted(
        self, gateway: Gateway, keys: Keys, upstream: Upstream
    ) -> None:
        key = keys.secret("pix:read")
        for _ in range(3):
            self.assert_limits_told(gateway.call("GET", f"{API}/pix", key))

    def test_one_request_id_runs_through_all(
        self, gateway: Gateway, keys: Keys, upstream: Upstream
    ) -> None:
        reply = gateway.call("GET", f"{API}/pix", keys.secret("pix:read"))
        assert upstream.calls[0].all("X-Request-ID") == reply.all("X-Request-ID")
        forged = [("X-Request-ID", "forged-forged-forged")]
        again = gateway.call("GET", f"{API}/pix", headers=forged)
        assert "forged" not in again.headers["x-request-id"]

    @needs_loopback_network
    def test_clients_sign_in_on_the_same_name(self, gateway: Gateway, service: Service) -> None:
        user = service.demo["users"][0]
        body = json.dumps({"document": user["document"], "password": user["password"]}).encode()
        content = [("Content-Type", "application/json")]
        for address in ("127.0.0.51", "127.0.0.52"):
            signed_in = gateway.call(
                "POST", f"{API}/auth/login", None, body, content, source=address
            )
            assert signed_in.status == 200
            token = signed_in.json["data"]["access_token"]
            sessions = gateway.call(
                "GET",
                f"{API}/auth/sessions",
                token,
                headers=[("X-Request-ID", "forged-forged-forged")],
                source=address,
            )
            assert sessions.headers["x-request-id"] != "forged-forged-forged"
            (current,) = [s for s in sessions.json["data"] if s["current"]]
            assert current["address"] == address

    # Faults

    def assert_unavailable(self, reply: Reply) -> None:
        """503 in the envelope."""
        assert reply.status == 503
        error = reply.json["error"]
        assert {"code": error["code"], "message": error["message"]} == ENVELOPE_503
        assert reply.all("Content-Type") == ["application/json"]
        assert reply.all("Retry-After") == ["1"]
        assert reply.all("Cache-Control") == ["no-store"]

    def assert_shut(self, gateway: Gateway, upstream: Upstream) -> None:
        """That nothing passes while the service is as it is, and nobody waits long."""
        with ThreadPoolExecutor(2) as pool:
            began = time.monotonic()
            reading = pool.submit(gateway.call, "GET", f"{API}/pix", "sk_live_x")
            writing = pool.submit(gateway.call, "POST", f"{API}/pix", "sk_live_x", b"x" * 100_000)
            for reply in (reading.result(), writing.result()):
                self.assert_unavailable(reply)
            assert time.monotonic() - began < self.patience
        assert not upstream.calls

    def test_nothing_passes_while_the_service_is_down(self, upstream: Upstream) -> None:
        with self.start(free_port(), upstream.port) as gateway:
            self.assert_shut(gateway, upstream)

    def test_nothing_passes_while_the_service_does_not_answer(self, upstream: Upstream) -> None:
        with mute() as port, self.start(port, upstream.port) as gateway:
            self.assert_shut(gateway, upstream)

    def test_nothing_passes_while_the_service_fails(self, upstream: Upstream) -> None:
        admitting = (("X-Auth-Kind", "user"), ("X-Auth-Subject", "usr_1"))
        with (
            Upstream(500, b"<h1>oh no</h1>", admitting) as failing,
            self.start(failing.port, upstream.port) as gateway,
        ):
            for status in (500, 502, 504):
                failing.forget()
                failing.status = status
                self.assert_shut(gateway, upstream)
                assert failing.calls

    def test_nothing_passes_on_the_word_of_another_server(self, upstream: Upstream) -> None:
        with (
            Upstream(200, b"welcome", (("Location", "/"),)) as other,
            self.start(other.port, upstream.port) as gateway,
        ):
            for status in self.strange:
                other.forget()
                other.status = status
                self.assert_shut(gateway, upstream)
                assert other.calls

    def test_the_services_own_503_is_passed_on(self, upstream: Upstream) -> None:
        body = json.dumps({"error": {**ENVELOPE_503, "request_id": "req_of_the_service"}}).encode()
        headers = (
            ("Content-Type", "application/json"),
            ("Retry-After", "1"),
            ("Cache-Control", "no-store"),
        )
        with (
            Upstream(503, body, headers) as away,
            self.start(away.port, upstream.port) as gateway,
        ):
            reply = gateway.call("GET", f"{API}/pix", "any")
            assert reply.content == body
            assert reply.status == 503
            assert reply.all("Retry-After") == ["1"]
            assert reply.all("Cache-Control") == ["no-store"]
        assert not upstream.calls

    def test_an_upstream_that_is_down_is_503_too(self, service: Service, keys: Keys) -> None:
        key = keys.secret("pix:write")
        with self.start(service.gunicorn.port, free_port()) as gateway:
            began = time.monotonic()
            reply = gateway.call("POST", f"{API}/pix", key, b"{}")
            assert time.monotonic() - began < self.patience
            self.assert_unavailable(reply)
            assert gateway.call("GET", f"{API}/users", key).status == 403

    def test_calls_pass_again_once_the_service_is_back(self, upstream: Upstream) -> None:
        answer = (("X-Auth-Kind", "user"), ("X-Auth-Subject", "usr_1"))
        with (
            Upstream(500, headers=answer) as service,
            self.start(service.port, upstream.port) as gateway,
        ):
            for _ in range(3):
                assert gateway.call("GET", f"{API}/pix", "any").status >= 500
            service.status = http.HTTPStatus.OK
            assert gateway.call("GET", f"{API}/pix", "any").status == 200
        assert len(upstream.calls) == 1
