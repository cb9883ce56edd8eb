"""authn.client.drf and authn.client.django: views whose callers are asked about."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler

from authn.client import Grant, Refused
from authn.client import django as fluxiq
from authn.client.drf import DeclaredPermissions, GatewayAuthentication, VerifyAuthentication
from authn.tests.stub import LIMITS, UNAUTHORIZED, Stub, error, granted, http
from fluxiq.tests.engines import free_port

pytestmark = pytest.mark.engine  # no database is touched: once is enough

HEADERS = {name.replace("_", "-"): value for name, value in LIMITS.items()}


class Plain(APIView):
    """As a service has it that sets nothing: DRF's own defaults, not this project's."""

    renderer_classes = [JSONRenderer]
    authentication_classes: Any = [VerifyAuthentication]
    permission_classes: Any = [DeclaredPermissions]

    def get_exception_handler(self) -> Any:
        return exception_handler

    def get(self, request: Request, **kwargs: str) -> Response:
        caller: Any = request.user
        return Response({"data": {"by": str(caller), "kind": caller.kind}})

    post = put = get


class PixView(Plain):
    required_permissions: Any = {"GET": ["pix:read"], "POST": ["pix:read", "pix:write"]}


@pytest.fixture
def stub() -> Iterator[Stub]:
    """The authentication service: grants pix:read and pix:write at mer_1."""
    with (
        Stub(granted("pix:read pix:write")) as running,
        override_settings(FLUXIQ_AUTH_URL=running.url, FLUXIQ_AUTH_TIMEOUT=1),
    ):
        yield running
        fluxiq.verifier().close()


def call(view: Any, method: str = "POST", kwargs: Any = None, **headers: Any) -> Any:
    """The rendered answer of a view to a call with a key."""
    headers.setdefault("HTTP_AUTHORIZATION", "Bearer key")
    request = RequestFactory().generic(method, "/pix?access_token=key", **headers)
    response = getattr(view, "as_view", lambda: view)()(request, **(kwargs or {}))
    return response.render() if hasattr(response, "render") else response


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


GATEWAY = {
    "REMOTE_ADDR": "10.0.0.3",
    "HTTP_X_AUTH_KIND": "user",
    "HTTP_X_AUTH_SUBJECT": "usr_1",
    "HTTP_X_AUTH_MERCHANTS": "mer_1,mer_2",
    "HTTP_X_AUTH_PERMISSIONS": "pix:read pix:write",
}


class BehindGateway(PixView):
    authentication_classes: Any = [GatewayAuthentication]


@pytest.fixture
def gateways(settings: Any) -> None:
    """A network in which gateways stand."""
    settings.FLUXIQ_GATEWAYS = ["10.0.0.0/24", "::1"]


@pytest.mark.usefixtures("gateways")
class TestGatewayAuthentication:
    def test_a_gateways_word_is_taken(self) -> None:
        response = call(BehindGateway, **GATEWAY)
        assert json.loads(response.content) == {"data": {"by": "usr_1", "kind": "user"}}

    @pytest.mark.parametrize("peer", ["10.0.1.3", "", "unix:", "203.0.113.9"])
    def test_nobody_elses_is(self, peer: str) -> None:
        response = call(BehindGateway, **{**GATEWAY, "REMOTE_ADDR": peer})
        assert (response.status_code, response.content) == (401, UNAUTHORIZED)
        assert response.headers["WWW-Authenticate"] == "Bearer"

    def test_nor_is_it_where_no_gateway_is_named(self) -> None:
        with override_settings(FLUXIQ_GATEWAYS=[]):
            assert call(BehindGateway, **GATEWAY).status_code == 401

    def test_a_call_that_it_did_not_ask_about_is_401(self) -> None:
        assert call(BehindGateway, **{**GATEWAY, "HTTP_X_AUTH_SUBJECT": ""}).status_code == 401

    def test_what_the_view_needs_must_be_held(self) -> None:
        response = call(BehindGateway, **{**GATEWAY, "HTTP_X_AUTH_PERMISSIONS": "pix:read"})
        assert response.status_code == 403
        assert json.loads(response.content)["error"]["required_permission"] == "pix:write"

    def test_and_at_the_merchant_of_the_url(self) -> None:
        for merchant_id, status in (("mer_2", 200), ("mer_3", 403)):
            kwargs = {"merchant_id": merchant_id}
            assert call(BehindGateway, kwargs=kwargs, **GATEWAY).status_code == status

    @pytest.mark.parametrize("gateways", ["10.0.0.0/24", ["gateway"], ["10.0.0.1/24"]])
    def test_gateways_that_are_no_networks_are_an_error(self, gateways: Any) -> None:
        with override_settings(FLUXIQ_GATEWAYS=gateways), pytest.raises(ImproperlyConfigured):
            call(BehindGateway, **GATEWAY)


class TestRequire:
    def test_a_plain_view_is_guarded(self, stub: Stub) -> None:
        @fluxiq.require("pix:read", "pix:write")
        def charges(request: HttpRequest, merchant_id: str) -> HttpResponse:
            return HttpResponse(request.fluxiq.subject)  # type: ignore[attr-defined]

        response = call(charges, kwargs={"merchant_id": "mer_1"})
        assert (response.status_code, response.content) == (200, b"key_1")
        assert {name: response.headers[name] for name in HEADERS} == HEADERS
        assert stub.seen[0].query == [
            ("permission", "pix:read"), ("permission", "pix:write"), ("merchant_id", "mer_1"),
        ]  # fmt: skip

    def test_who_is_refused_never_reaches_it(self, stub: Stub) -> None:
        reached = []

        @fluxiq.require("pix:write")
        def charges(request: HttpRequest) -> HttpResponse:
            reached.append(request)
            return HttpResponse()

        stub.reply = lambda seen: error(403, "FORBIDDEN", required_permission="pix:write")
        response = call(charges)
        assert response.status_code == 403
        assert json.loads(response.content)["error"]["required_permission"] == "pix:write"
        assert not reached

    def test_an_async_view_is_refused_at_once(self) -> None:
        with pytest.raises(TypeError):

            @fluxiq.require("pix:write")  # type: ignore[type-var]
            async def charges(request: HttpRequest) -> HttpResponse:
                return HttpResponse()

    def test_a_view_may_ask_by_itself(self, stub: Stub) -> None:
        request = RequestFactory().get("/", HTTP_AUTHORIZATION="Bearer key")
        assert fluxiq.verify(request, ("pix:read",)).subject == "key_1"
        stub.reply = lambda seen: http(401, UNAUTHORIZED, WWW_Authenticate="Bearer")
        with pytest.raises(Refused) as raised:
            fluxiq.verify(request, ("pix:read",))
        response = fluxiq.answer(raised.value)
        assert (response.status_code, response.content) == (401, UNAUTHORIZED)
        assert response.headers["WWW-Authenticate"] == "Bearer"
