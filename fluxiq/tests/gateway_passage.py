"""What passes through a gateway untouched."""

import json
from hashlib import sha256

import pytest

from fluxiq.tests.gateway_case import (
    API,
    KEY_LIMIT,
    LIMIT_HEADERS,
    GatewayCase,
    Keys,
    needs_loopback_network,
)
from fluxiq.tests.gateways import Gateway, Reply, send
from fluxiq.tests.served import Service
from fluxiq.tests.upstreams import Relay, Upstream


class Passage(GatewayCase):
    """Bodies, answers, limits and request ids go through as they are."""

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
