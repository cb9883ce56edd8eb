"""What a gateway refuses, how it says so, and what that counts."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

from fluxiq.scopes import Scope
from fluxiq.tests.gateway_case import (
    API,
    KEY_LIMIT,
    LIMIT_HEADERS,
    GatewayCase,
    Keys,
    assert_each_counted_once,
    counted,
    needs_loopback_network,
)
from fluxiq.tests.gateways import Gateway
from fluxiq.tests.served import Service
from fluxiq.tests.upstreams import Upstream


class Refusals(GatewayCase):
    """A refusal is the service's own, and each call counts once."""

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
