"""Sign-in, refresh, logout, and what a token is worth."""

from typing import ClassVar

from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response

from authn import introspection, invitations, passwords, sessions
from authn.authentication import bearer
from authn.keys import MARKER
from authn.serializers import (
    InvitationAcceptance,
    LoginRequest,
    RefreshRequest,
    TokenPairSerializer,
    TokenRequest,
)
from fluxiq.errors import Forbidden, Unauthorized, ValidationFailed
from fluxiq.http import Credential, django_request
from fluxiq.parsers import StrictJSONParser
from fluxiq.views import ApiView, data, no_content
from merchants.serializers import MemberSerializer


class LoginView(ApiView):
    """Document and password for a pair of tokens."""

    credential = Credential.IGNORED
    required_permissions: ClassVar = {"POST": None}

    def post(self, request: Request) -> Response:
        body = self.read(LoginRequest)
        user = passwords.prove(body["document"], body["password"])
        return data(TokenPairSerializer, sessions.start(user))


class RefreshView(ApiView):
    """A refresh token for a new pair; the old one is retired. A success counts to its user."""

    credential = Credential.IN_BODY
    required_permissions: ClassVar = {"POST": None}

    def post(self, request: Request) -> Response:
        presented = sessions.present(self.read(RefreshRequest)["refresh_token"])
        django_request(request).gate.count_user(presented.session.user_id)
        return data(TokenPairSerializer, sessions.rotate(presented))


class LogoutView(ApiView):
    """The session of this access token is over; one that is over already is 204 too."""

    credential = Credential.EVEN_EXPIRED
    required_permissions: ClassVar = {"POST": None}

    def post(self, request: Request) -> Response:
        credential = bearer(django_request(request))
        if credential is None:
            raise Unauthorized
        if credential.startswith(MARKER):
            if request.auth is None:
                raise Unauthorized
            raise Forbidden
        sessions.end_by_access_token(credential)
        return no_content()


class IntrospectView(ApiView):
    """What a token is worth (RFC 7662): one's own, or for a service key anyone's."""

    parser_classes = (StrictJSONParser, FormParser)
    required_permissions: ClassVar = {"POST": None}

    def post(self, request: Request) -> Response:
        refuse_query_token(request)
        token = self.read(TokenRequest)["token"]
        return Response(introspection.introspect(token, self.principal))


class RevokeView(ApiView):
    """Whoever holds a token may kill it (RFC 7009); the answer is always 200."""

    credential = Credential.IGNORED
    parser_classes = (StrictJSONParser, FormParser)
    required_permissions: ClassVar = {"POST": None}

    def post(self, request: Request) -> Response:
        refuse_query_token(request)
        introspection.revoke(self.read(TokenRequest)["token"])
        return Response({"data": {}})


class InvitationAcceptView(ApiView):
    """Who was invited proves it, and becomes a member."""

    credential = Credential.IGNORED
    required_permissions: ClassVar = {"POST": None}

    def post(self, request: Request) -> Response:
        membership = invitations.accept(**self.read(InvitationAcceptance))
        return data(MemberSerializer, membership)


def refuse_query_token(request: Request) -> None:
    """Raises ValidationFailed for a token in the URL, where logs would keep it."""
    if "token" in request.query_params:
        raise ValidationFailed({"token": ["Send it in the body: URLs are logged."]})
