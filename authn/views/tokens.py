"""Sign-in, refresh, logout, and what a token is worth."""

from typing import ClassVar

from drf_spectacular.utils import OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response

from authn import introspection, invitations, passwords, sessions
from authn.authentication import bearer
from authn.keys import MARKER
from authn.mfa import login
from authn.mfa.serializers import LoginCompletion
from authn.serializers import (
    InvitationAcceptance,
    LoginRequest,
    RefreshRequest,
    TokenPairSerializer,
    TokenRequest,
)
from fluxiq.errors import (
    INVALID_CHALLENGE,
    INVALID_INVITATION,
    INVALID_LOGIN,
    Forbidden,
    MfaRequired,
    Unauthorized,
    ValidationFailed,
)
from fluxiq.http import Credential, django_request
from fluxiq.parsers import StrictJSONParser
from fluxiq.schema import empty, enveloped
from fluxiq.views import ApiView, data, no_content
from merchants.serializers import MemberSerializer

INTROSPECTION = inline_serializer(
    "Introspection",
    {
        "active": serializers.BooleanField(),
        "sub": serializers.CharField(required=False),
        "scope": serializers.CharField(required=False),
        "token_type": serializers.CharField(required=False),
        "iat": serializers.IntegerField(required=False),
        "exp": serializers.IntegerField(required=False),
        "kind": serializers.CharField(required=False),
        "merchant_ids": serializers.ListField(child=serializers.CharField(), required=False),
    },
)


class LoginView(ApiView):
    """Document and password for a pair of tokens."""

    tag = "Authentication"
    credential = Credential.IGNORED
    required_permissions: ClassVar = {"POST": None}

    @extend_schema(
        operation_id="login",
        summary="Sign in",
        description="Document and password for a pair of tokens. After 5 failures in 15 minutes"
        " for one document from one address, that pair is answered 429, right or wrong, until the"
        " 15 minutes are over. Who has a second factor gets a challenge (403 `MFA_REQUIRED`), to be"
        " finished at /auth/login/mfa.",
        request=LoginRequest,
        responses={
            200: enveloped(TokenPairSerializer, "A new session's tokens."),
            401: Unauthorized(INVALID_LOGIN),
            403: MfaRequired,
        },
    )
    def post(self, request: Request) -> Response:
        body = self.read(LoginRequest)
        user = passwords.prove(body["document"], body["password"])
        return data(TokenPairSerializer, login.begin(user))


class LoginMfaView(ApiView):
    """The second step of a sign-in: its challenge, and a code."""

    tag = "Authentication"
    credential = Credential.IGNORED
    required_permissions: ClassVar = {"POST": None}

    @extend_schema(
        operation_id="finishLogin",
        summary="Finish a sign-in",
        description="The challenge of /auth/login and a code of the authenticator app, or a"
        " recovery code, for a pair of tokens. The challenge serves once and for 5 minutes, each"
        " code once. After 5 wrong codes of one user in 15 minutes, over all challenges and"
        " addresses, the answer is 429 until the 15 minutes are over.",
        request=LoginCompletion,
        responses={
            200: enveloped(TokenPairSerializer, "A new session's tokens."),
            401: Unauthorized(INVALID_CHALLENGE),
        },
    )
    def post(self, request: Request) -> Response:
        return data(TokenPairSerializer, login.finish(**self.read(LoginCompletion)))


class RefreshView(ApiView):
    """A refresh token for a new pair; the old one is retired. A success counts to its user."""

    tag = "Authentication"
    credential = Credential.IN_BODY
    required_permissions: ClassVar = {"POST": None}

    @extend_schema(
        operation_id="refresh",
        summary="Refresh the tokens",
        description="A refresh token serves once and is then retired: keep the new one. Used again"
        " within 10 seconds, it gets the same successor, so that a lost response is not a lost"
        " session; any later use ends the whole session, since one of two holders is a thief.",
        request=RefreshRequest,
        responses={200: enveloped(TokenPairSerializer, "The session's new tokens.")},
    )
    def post(self, request: Request) -> Response:
        presented = sessions.present(self.read(RefreshRequest)["refresh_token"])
        django_request(request).gate.count_user(presented.session.user_id)
        return data(TokenPairSerializer, sessions.rotate(presented))


class LogoutView(ApiView):
    """The session of this access token is over; one that is over already is 204 too."""

    tag = "Authentication"
    credential = Credential.EVEN_EXPIRED
    required_permissions: ClassVar = {"POST": None}

    @extend_schema(
        operation_id="logout",
        summary="Sign out",
        description="Ends the session of the access token, its refresh token too. One that has"
        " expired works as well, and signing out twice is 204. A body is ignored.",
        request=None,
        responses={204: OpenApiResponse(description="The session is over.")},
    )
    def post(self, request: Request) -> Response:
        credential = bearer(django_request(request))
        if credential is None:
            raise Unauthorized
        if credential.startswith(MARKER):
            raise Forbidden
        sessions.end_by_access_token(credential)
        return no_content()


class IntrospectView(ApiView):
    """What a token is worth (RFC 7662): one's own, or for a service key anyone's."""

    tag = "For gateways"
    parser_classes = (StrictJSONParser, FormParser)
    required_permissions: ClassVar = {"POST": None}

    @extend_schema(
        operation_id="introspect",
        summary="Ask what a token is worth",
        description="RFC 7662, without our envelope: one's own token, or for a service key"
        " (`tokens:introspect`) anyone's. `active` is false alone for anything dead or unknown,"
        " for a refresh token, and for what is not the caller's own.",
        request=TokenRequest,
        responses={200: OpenApiResponse(INTROSPECTION, description="The bare RFC 7662 object.")},
    )
    def post(self, request: Request) -> Response:
        refuse_query_token(request)
        token = self.read(TokenRequest)["token"]
        return Response(introspection.introspect(token, self.principal))


class RevokeView(ApiView):
    """Whoever holds a token may kill it (RFC 7009); the answer is always 200."""

    tag = "Authentication"
    credential = Credential.IGNORED
    parser_classes = (StrictJSONParser, FormParser)
    required_permissions: ClassVar = {"POST": None}

    @extend_schema(
        operation_id="revokeToken",
        summary="Revoke a token",
        description="RFC 7009: whoever holds an API key, an access token or a refresh token may"
        " kill it, the token's whole session with it. The answer does not tell what was found.",
        request=TokenRequest,
        responses={200: empty("If it was good, it is dead.")},
    )
    def post(self, request: Request) -> Response:
        refuse_query_token(request)
        introspection.revoke(self.read(TokenRequest)["token"])
        return Response({"data": {}})


class InvitationAcceptView(ApiView):
    """Who was invited proves it, and becomes a member."""

    tag = "Users"
    credential = Credential.IGNORED
    required_permissions: ClassVar = {"POST": None}

    @extend_schema(
        operation_id="acceptInvitation",
        summary="Accept an invitation",
        description="A document that is new here sets its password, a known one proves it, under"
        " the throttle of the sign-in.",
        request=InvitationAcceptance,
        responses={
            200: enveloped(MemberSerializer, "The membership, in force."),
            401: Unauthorized(INVALID_INVITATION),
        },
    )
    def post(self, request: Request) -> Response:
        membership = invitations.accept(**self.read(InvitationAcceptance))
        return data(MemberSerializer, membership)


def refuse_query_token(request: Request) -> None:
    """Raises ValidationFailed for a token in the URL, where logs would keep it."""
    if "token" in request.query_params:
        raise ValidationFailed({"token": ["Send it in the body: URLs are logged."]})
