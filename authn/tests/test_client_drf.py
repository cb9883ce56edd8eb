"""authn.client.drf: views whose callers are asked about, and what they declare to need."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory, override_settings
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response

from authn.client import Grant
from authn.client.drf import DeclaredPermissions
from authn.tests.guarded import HEADERS, PixView, Plain, call, granting
from authn.tests.stub import UNAUTHORIZED, Stub, granted, http
from fluxiq.tests.engines import free_port

pytestmark = pytest.mark.engine  # no database is touched: once is enough


@pytest.fixture
def stub() -> Iterator[Stub]:
    """The authentication service: grants pix:read and pix:write at mer_1."""
    with granting() as running:
        yield running


class TestVerifyAuthentication:
    def test_a_call_that_may_pass_reaches_the_view_with_its_caller(self, stub: Stub) -> None:
        response = call(PixView)
        assert response.status_code == 200
        assert json.loads(response.content) == {"data": {"by": "key_1", "kind": "api_key"}}
        assert {name: response.headers[name] for name in HEADERS} == HEADERS

    def test_it_is_asked_once_with_all_that_the_method_needs(self, stub: Stub) -> None:
        call(PixView)
        (seen,) = stub.seen
        assert seen.query == [("permission", "pix:read"), ("permission", "pix:write")]
        assert seen.headers["authorization"] == "Bearer key"

    def test_a_head_needs_what_a_get_does(self, stub: Stub) -> None:
        assert call(PixView, "HEAD").status_code == 200
        assert stub.seen[0].query == [("permission", "pix:read")]

    def test_where_it_comes_from_is_passed_on(self, stub: Stub) -> None:
        call(
            PixView,
            REMOTE_ADDR="10.0.0.7",
            HTTP_X_FORWARDED_FOR="203.0.113.9",
            HTTP_X_REQUEST_ID="id-of-the-gateway",
        )
        (seen,) = stub.seen
        assert seen.headers["x-forwarded-for"] == "203.0.113.9, 10.0.0.7"
        assert seen.headers["x-request-id"] == "id-of-the-gateway"

    def test_the_merchant_of_the_url_is_asked_about(self, stub: Stub) -> None:
        assert call(PixView, kwargs={"merchant_id": "mer_1"}).status_code == 200
        assert ("merchant_id", "mer_1") in stub.seen[0].query

    def test_a_view_may_find_the_merchant_elsewhere(self, stub: Stub) -> None:
        class Elsewhere(PixView):
            def merchant_id_of(self, request: Request) -> str | None:
                return request.headers.get("X-Merchant")

        assert call(Elsewhere, HTTP_X_MERCHANT="mer_1").status_code == 200
        assert ("merchant_id", "mer_1") in stub.seen[0].query
        assert call(Elsewhere).status_code == 200
        assert len(stub.seen[1].query) == 2

    @pytest.mark.parametrize(
        ("status", "code", "more", "headers"),
        [
            (400, "VALIDATION_ERROR", {"details": {"permission": ["x"]}}, {}),
            (401, "UNAUTHORIZED", {}, {"WWW-Authenticate": "Bearer"}),
            (403, "FORBIDDEN", {"required_permission": "pix:write"}, {}),
            (429, "RATE_LIMITED", {"retry_after": 30}, {"Retry-After": "30"}),
        ],
    )
    def test_a_refusal_is_the_answer(
        self, stub: Stub, status: int, code: str, more: Any, headers: Any
    ) -> None:
        body = json.dumps({"error": {"code": code, "message": "so", **more}}).encode()
        said = {**headers, **HEADERS, "Cache-Control": "no-store", "X-Request-ID": "req_12345678"}
        stub.reply = lambda seen: http(status, body, **said)
        response = call(PixView)
        assert response.status_code == status
        assert json.loads(response.content) == json.loads(body)
        assert {name: response.headers[name] for name in said} == said
        assert response.headers["Content-Type"] == "application/json"

    @override_settings(FLUXIQ_AUTH_URL=f"http://127.0.0.1:{free_port()}")
    def test_a_service_that_is_down_is_503(self) -> None:
        response = call(PixView)
        assert response.status_code == 503
        assert json.loads(response.content)["error"]["code"] == "SERVICE_UNAVAILABLE"
        assert response.headers["Retry-After"] == "1"

    def test_a_call_without_a_credential_is_asked_about_too(self, stub: Stub) -> None:
        stub.reply = lambda seen: http(401, UNAUTHORIZED, WWW_Authenticate="Bearer")
        response = PixView.as_view()(RequestFactory().post("/pix?access_token=key")).render()
        assert (response.status_code, response.content) == (401, UNAUTHORIZED)
        (seen,) = stub.seen
        assert "authorization" not in seen.headers
        assert "access_token" not in seen.target

    def test_whom_a_view_does_not_know_is_401_and_not_403(self, stub: Stub) -> None:
        class Doubtful(PixView):
            def get(self, request: Request, **kwargs: str) -> Response:
                raise AuthenticationFailed

        response = call(Doubtful, "GET")
        assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")

    def test_settings_that_name_no_service_are_an_error(self) -> None:
        for url in (None, "", "auth.example.com"):
            with override_settings(FLUXIQ_AUTH_URL=url), pytest.raises(ImproperlyConfigured):
                call(PixView)


class TestDeclaredPermissions:
    def test_a_view_that_declares_nothing_is_refused(self, stub: Stub) -> None:
        response = call(Plain)
        assert response.status_code == 403
        assert json.loads(response.content)["error"]["required_permission"] is None

    def test_so_is_a_method_that_is_not_declared(self, stub: Stub) -> None:
        assert call(PixView, "PUT").status_code == 403

    def test_a_method_that_is_not_there_is_405(self, stub: Stub) -> None:
        assert call(PixView, "DELETE").status_code == 405

    @pytest.mark.parametrize("stated", ["pix:write", ["pix:write"], {"POST": "pix:write"}])
    def test_it_may_be_declared_in_few_words(self, stub: Stub, stated: Any) -> None:
        class Said(Plain):
            required_permissions = stated

        assert call(Said).status_code == 200
        assert stub.seen[0].query == [("permission", "pix:write")]

    def test_an_empty_list_asks_for_a_caller_alone(self, stub: Stub) -> None:
        class Anyone(Plain):
            required_permissions: Any = []

        stub.reply = lambda seen: granted("")
        assert call(Anyone).status_code == 200
        stub.reply = lambda seen: http(401, UNAUTHORIZED, WWW_Authenticate="Bearer")
        assert call(Anyone).status_code == 401

    def test_a_caller_of_another_authentication_class_is_refused(self, stub: Stub) -> None:
        class Unasked(PixView):
            authentication_classes: Any = []

        response = call(Unasked)
        assert (response.status_code, response.content) == (401, UNAUTHORIZED)
        assert not stub.seen

    def test_what_was_granted_for_one_method_is_not_taken_for_another(self) -> None:
        view = PixView()
        grant = Grant("api_key", "key_1", ("mer_1",), frozenset({"pix:read"}))
        requests = [
            view.initialize_request(RequestFactory().generic(method, "/pix"))
            for method in ("GET", "POST")
        ]
        for request in requests:
            request.auth = grant
        assert DeclaredPermissions().has_permission(requests[0], view)
        with pytest.raises(APIException) as raised:
            DeclaredPermissions().has_permission(requests[1], view)
        assert raised.value.status_code == 403
