"""The caller about themselves: who they are, their sessions, their password."""

from typing import ClassVar

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from authn import passwords, sessions
from authn.authentication import user_of
from authn.models import Session
from authn.serializers import CallerSerializer, PasswordChange, SessionSerializer
from fluxiq import ids
from fluxiq.errors import Conflict, NotFound
from fluxiq.http import TOKEN_ONLY
from fluxiq.schema import PAGE, enveloped, paged
from fluxiq.views import ApiView, data, no_content
from merchants.acting import acting_at
from merchants.models import OWNER_STAYS, Membership
from merchants.serializers import OwnMembershipSerializer


class MeView(ApiView):
    """Who is calling, and what they hold where."""

    tag = "Authentication"
    required_permissions: ClassVar = {"GET": None}

    @extend_schema(
        operation_id="getMe",
        summary="Who am I",
        responses={200: enveloped(CallerSerializer, "The caller: a person or a key.")},
    )
    def get(self, request: Request) -> Response:
        return data(CallerSerializer, self.principal)


class OwnMembershipListView(ApiView):
    """Every membership of the caller, those that grant nothing now too."""

    tag = "Users"
    kinds = TOKEN_ONLY
    required_permissions: ClassVar = {"GET": None}

    @extend_schema(
        operation_id="listMyMemberships",
        summary="List your memberships",
        description="Where you are a member, also while that is inactive or the merchant is"
        " suspended.",
        parameters=PAGE,
        responses={200: paged(OwnMembershipSerializer)},
    )
    def get(self, request: Request) -> Response:
        rows = Membership.objects.of_user(self.principal.id)
        return self.page(rows, OwnMembershipSerializer)


class OwnMembershipView(ApiView):
    """Leave one merchant."""

    tag = "Users"
    kinds = TOKEN_ONLY
    required_permissions: ClassVar = {"DELETE": None}

    @extend_schema(
        operation_id="leaveMerchant",
        summary="Leave a merchant",
        description="Ends your own membership, such as one that somebody made without you. An"
        " active owner is removed by another owner, or by FluxiQ's staff.",
        responses={
            204: OpenApiResponse(description="You are no member there any more."),
            409: Conflict(OWNER_STAYS),
        },
    )
    def delete(self, request: Request, membership_id: str) -> Response:
        own = Membership.objects.of_user(self.principal.id)
        membership = self.judged(own, ids.Prefix.MEMBERSHIP, membership_id)
        with acting_at(membership.merchant_id, self.principal):
            membership.leave()
        return no_content()


class PasswordView(ApiView):
    """Change one's password; all other sessions are over."""

    tag = "Authentication"
    kinds = TOKEN_ONLY
    required_permissions: ClassVar = {"POST": None}

    @extend_schema(
        operation_id="changePassword",
        summary="Change your password",
        description="All your other sessions are over. A wrong current password is 400, and"
        " counts as a failed sign-in.",
        request=PasswordChange,
        responses={204: OpenApiResponse(description="The new password is in force.")},
    )
    def post(self, request: Request) -> Response:
        body = self.read(PasswordChange)
        passwords.change(
            user_of(request),
            current=body["current_password"],
            new=body["new_password"],
            session_id=self.principal.session_id,
        )
        return no_content()


class SessionListView(ApiView):
    """One's live sessions, and ending them all."""

    tag = "Sessions"
    kinds = TOKEN_ONLY
    required_permissions: ClassVar = {"GET": None, "DELETE": None}

    @extend_schema(
        operation_id="listSessions",
        summary="List your sessions",
        description="Where you are signed in.",
        parameters=PAGE,
        responses={200: paged(SessionSerializer)},
    )
    def get(self, request: Request) -> Response:
        rows = Session.objects.live().of(self.principal)
        return self.page(rows, SessionSerializer)

    @extend_schema(
        operation_id="endAllSessions",
        summary="Sign out everywhere",
        description="Ends all your sessions, this one and those of the staff console too, and the"
        " challenges of sign-ins that wait for their code.",
        responses={204: OpenApiResponse(description="All your sessions are over.")},
    )
    def delete(self, request: Request) -> Response:
        principal = self.principal
        sessions.end_own(principal.id, principal.session_id, "all sessions ended by their user")
        return no_content()


class SessionView(ApiView):
    """End one of one's sessions."""

    tag = "Sessions"
    kinds = TOKEN_ONLY
    required_permissions: ClassVar = {"DELETE": None}

    @extend_schema(
        operation_id="endSession",
        summary="End one of your sessions",
        description="Its access token and its refresh token are refused at once.",
        responses={204: OpenApiResponse(description="That session is over.")},
    )
    def delete(self, request: Request, session_id: str) -> Response:
        if not ids.is_valid(ids.Prefix.SESSION, session_id):
            raise NotFound
        principal = self.principal
        if not sessions.end_own(
            principal.id, principal.session_id, "ended by its user", chosen=session_id
        ):
            raise NotFound
        return no_content()
