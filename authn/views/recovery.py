"""A forgotten password: asked for by document, reset by who reads the mailbox."""

from functools import partial
from typing import ClassVar

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from authn import recovery
from authn.serializers import ForgottenPassword, PasswordReset
from fluxiq import mail
from fluxiq.errors import Unauthorized
from fluxiq.http import Credential
from fluxiq.views import ApiView, no_content

PAGE_POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'self'; style-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class ForgotView(ApiView):
    """Ask for a link to reset one's password."""

    tag = "Authentication"
    credential = Credential.IGNORED
    required_permissions: ClassVar = {"POST": None}

    @extend_schema(
        operation_id="forgotPassword",
        summary="Ask for a new password",
        description="Mails a link of 30 minutes to the user's e-mail address, if there is such a"
        " user and they have one. The answer is the same whether there is.",
        request=ForgottenPassword,
        responses={202: OpenApiResponse(description="Accepted.")},
    )
    def post(self, request: Request) -> Response:
        document = self.read(ForgottenPassword)["document"]
        mail.later(partial(recovery.forgot, document))  # or its time would tell who is known
        return Response(status=202)


class ResetView(ApiView):
    """Set a new password with the token of the link."""

    tag = "Authentication"
    credential = Credential.IGNORED
    required_permissions: ClassVar = {"POST": None}

    @extend_schema(
        operation_id="resetPassword",
        summary="Set a new password",
        description="Takes the token of the mailed link, once. All sessions are over.",
        request=PasswordReset,
        responses={
            204: OpenApiResponse(description="The new password is in force."),
            401: Unauthorized,
        },
    )
    def post(self, request: Request) -> Response:
        body = self.read(PasswordReset)
        recovery.reset(body["token"], body["new_password"])
        return no_content()


@require_safe
def reset_page(request: HttpRequest) -> HttpResponse:
    """The page that the mailed link opens; the token stays in the fragment, in no log."""
    response = render(request, "authn/reset_password.html")
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response
