"""Views of another service, which ask about their callers or are told by a gateway."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.test import RequestFactory, override_settings
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler

from authn.client import django as fluxiq
from authn.client.drf import DeclaredPermissions, VerifyAuthentication
from authn.tests.stub import LIMITS, Stub, granted

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


@contextmanager
def granting() -> Iterator[Stub]:
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
