"""deploy/gateway/traefik, run by Traefik."""

import pytest

from fluxiq.tests.engines import free_port
from fluxiq.tests.gateway_case import API, LIMIT_HEADERS, Keys
from fluxiq.tests.gateway_facts import GatewayFacts
from fluxiq.tests.gateways import Gateway, Reply, traefik
from fluxiq.tests.served import Service
from fluxiq.tests.upstreams import Upstream

pytestmark = pytest.mark.engine


class TestTraefik(GatewayFacts):
    """What Traefik can do holds. What it cannot is stated here as it is in its file."""

    start = staticmethod(traefik)
    network = "127.0.3"
    misspelling = ('"pix:read" ', '"pix:raed" ')
    resolves_paths = True
    strange = (201, 204, 301, 302, 304)

    def assert_unavailable(self, reply: Reply) -> None:
        """503, in Traefik's own words."""
        assert reply.status == 503
        assert reply.content == b"no available server\n"

    def assert_limits_told(self, reply: Reply) -> None:
        """Nothing: a forwardAuth tells the client nothing of what admitted it."""
        told = {name for name in LIMIT_HEADERS if reply.all(name)}
        assert told <= {"X-RateLimit-Limit"}  # the upstream's own
        assert reply.all("X-RateLimit-Limit") in ([], ["7"])

    def test_one_request_id_runs_through_all(
        self, gateway: Gateway, keys: Keys, upstream: Upstream
    ) -> None:
        forged = [("X-Request-ID", "forged-forged-forged")]
        gateway.call("GET", f"{API}/pix", keys.secret("pix:read"), headers=forged)
        (told,) = upstream.calls[0].all("X-Request-ID")
        assert told.startswith("req_"), "the service's own"

    def test_what_passes_on_another_servers_200_names_no_caller(self, upstream: Upstream) -> None:
        with Upstream() as other, self.start(other.port, upstream.port) as gateway:
            forged = [("X-Auth-Kind", "user"), ("X-Auth-Subject", "usr_1")]
            assert gateway.call("GET", f"{API}/pix", "any", headers=forged).status == 200
        assert not [name for name, _ in upstream.calls[0].headers if "auth" in name.lower()]

    def test_an_upstream_that_is_down_is_503_too(self, service: Service, keys: Keys) -> None:
        """Or 502, rather."""
        with self.start(service.gunicorn.port, free_port()) as gateway:
            reply = gateway.call("POST", f"{API}/pix", keys.secret("pix:write"), b"{}")
            assert reply.status == 502
