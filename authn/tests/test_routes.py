"""What holds for every route: each declares its permissions, and nobody gets in by accident."""

from collections.abc import Iterator
from typing import Any

from django.test import override_settings
from django.urls import URLPattern, URLResolver, get_resolver, path
from rest_framework.request import Request
from rest_framework.response import Response

from fluxiq.http import Credential
from fluxiq.scopes import Scope
from fluxiq.tests.base import ApiTestCase
from fluxiq.views import ApiView

PUBLIC = {
    "auth/login",
    "auth/login/mfa",
    "auth/refresh",
    "auth/revoke",
    "auth/invitations/accept",
    "auth/password/forgot",
    "auth/password/reset",
    "openapi.json",
    "docs",
}


def routes(patterns: Any = None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every route under /api/v1: its path, and its view class."""
    for pattern in patterns or get_resolver().url_patterns:
        full = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, full)
        elif isinstance(pattern, URLPattern) and full.startswith("api/v1/"):
            yield full.removeprefix("api/v1/"), getattr(pattern.callback, "cls", None)


class Undeclared(ApiView):
    """A view that forgot what it needs."""

    def get(self, request: Request) -> Response:
        return Response({"data": "leaked"})


class HalfDeclared(Undeclared):
    """A view that declares one method and forgot the other."""

    required_permissions = {"GET": Scope.ACCOUNTS_READ}

    def post(self, request: Request) -> Response:
        return Response({"data": "leaked"})


urlpatterns = [
    path("api/v1/undeclared", Undeclared.as_view()),
    path("api/v1/half", HalfDeclared.as_view()),
]


class RouteTests(ApiTestCase):
    def test_every_routed_view_declares_a_permission_for_every_method(self) -> None:
        found = dict(routes())
        assert len(found) > 15
        for route, view in found.items():
            assert issubclass(view, ApiView), route
            methods = {m.upper() for m in view.http_method_names if m not in ("head", "options")}
            handled = {m for m in methods if hasattr(view, m.lower())}
            assert handled, route
            assert handled <= set(view.required_permissions), route

    def test_only_the_documented_routes_are_public(self) -> None:
        public = {
            route
            for route, view in routes()
            if view.credential in (Credential.IGNORED, Credential.IN_BODY, Credential.OPTIONAL)
        }
        assert public == PUBLIC

    def test_nobody_is_401_everywhere_else(self) -> None:
        for route, view in routes():
            if route in PUBLIC:
                continue
            filled = route.replace("<str:", "").replace(">", "")
            for method in view.required_permissions:
                self.forget_counts()
                self.assert_unauthorized(self.call(method, f"/{filled}", None, {}))

    @override_settings(ROOT_URLCONF="authn.tests.test_routes")
    def test_a_view_that_declares_nothing_is_refused(self) -> None:
        self.assert_forbidden(self.get("/undeclared", self.root), None)
        self.assert_forbidden(self.post("/half", self.root), None)

    def test_a_method_that_a_route_has_not_is_405_with_allow(self) -> None:
        response = self.call("PUT", "/accounts", self.olga)
        assert self.error(response, 405)["code"] == "METHOD_NOT_ALLOWED"
        assert set(response.headers["Allow"].split(", ")) >= {"GET", "POST"}
        assert self.call("OPTIONS", "/accounts", self.olga).status_code == 405

    def test_a_trailing_slash_is_another_url(self) -> None:
        self.assert_not_found(self.get("/accounts/", self.olga))

    def test_head_is_answered_like_get_without_a_body(self) -> None:
        response = self.call("HEAD", "/accounts", self.olga)
        assert (response.status_code, response.content) == (200, b"")
