"""The authentication classes in a view of Django REST framework's own."""

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView, exception_handler

from authn.authentication import (
    AccessTokenAuthentication,
    ApiKeyAuthentication,
    GateAuthentication,
    user_of,
)
from fluxiq.errors import Unauthorized


class NobodyAtTheGate:
    """What the middleware leaves of a call without a credential."""

    def verified(self) -> None:
        return None


@pytest.mark.parametrize(
    "authentication", [AccessTokenAuthentication, ApiKeyAuthentication, GateAuthentication]
)
def test_no_credential_is_401_and_not_403(authentication: type[BaseAuthentication]) -> None:
    class View(APIView):
        authentication_classes = (authentication,)
        permission_classes = (IsAuthenticated,)

        def get(self, request: Request) -> Response:
            raise AssertionError("nobody gets here")

        def get_exception_handler(self) -> Any:
            return exception_handler

    request = APIRequestFactory().get("/")
    request.gate = NobodyAtTheGate()  # type: ignore[attr-defined]
    response = View.as_view()(request)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_call_that_no_user_made_has_none() -> None:
    request = Request(APIRequestFactory().get("/"))
    request.user = AnonymousUser()
    with pytest.raises(Unauthorized):
        user_of(request)
