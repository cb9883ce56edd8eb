"""Who calls, as the upstream behind a gateway is told."""

import re
from collections import defaultdict

from fluxiq.tests.gateway_case import (
    API,
    GatewayCase,
    Keys,
    assert_each_counted_once,
    needs_loopback_network,
)
from fluxiq.tests.gateways import Gateway
from fluxiq.tests.upstreams import Upstream


class Identity(GatewayCase):
    """The service says who calls and from where, whatever the client says."""

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
