"""authn.client.django: plain views are guarded, or ask by themselves."""

import json
from collections.abc import Iterator

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from authn.client import Refused
from authn.client import django as fluxiq
from authn.tests.guarded import HEADERS, call, granting
from authn.tests.stub import UNAUTHORIZED, Stub, error, http

pytestmark = pytest.mark.engine  # no database is touched: once is enough


@pytest.fixture
def stub() -> Iterator[Stub]:
    """The authentication service: grants pix:read and pix:write at mer_1."""
    with granting() as running:
        yield running


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
