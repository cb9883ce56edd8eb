"""What a gateway does while the service or the upstream fails."""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor

from fluxiq.tests.engines import free_port
from fluxiq.tests.gateway_case import API, GatewayCase, Keys
from fluxiq.tests.gateways import Gateway, Reply
from fluxiq.tests.served import Service
from fluxiq.tests.upstreams import Upstream, mute

ENVELOPE_503 = {"code": "SERVICE_UNAVAILABLE", "message": "The service is temporarily unavailable"}


class Faults(GatewayCase):
    """Nothing passes while the service cannot be asked: it fails closed, and soon."""

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
            # It was asked under the name that the client called, which stands in ALLOWED_HOSTS.
            (host,) = away.calls[0].all("Host")
            assert host in ("127.0.0.1", f"127.0.0.1:{gateway.port}")
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
