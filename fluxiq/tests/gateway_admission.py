"""What passes a gateway, and that nothing else does."""

import re

import pytest

from fluxiq.scopes import Scope
from fluxiq.tests.gateway_case import API, GatewayCase, Keys, counted
from fluxiq.tests.gateways import Gateway
from fluxiq.tests.served import Service
from fluxiq.tests.upstreams import Upstream

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


def needed(method: str, resource: str) -> str | None:
    """The permission of a method on a resource, None where there is none."""
    action = "read" if method in READING else "write" if method in WRITING else ""
    scope = f"{resource}:{action}"
    return scope if scope in set(Scope) else None


class Admission(GatewayCase):
    """Each path and method needs its permission; what no rule names reaches nobody."""

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
