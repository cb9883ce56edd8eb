"""The caller about themselves: who they are, their sessions, their password."""

from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from authn import passwords, sessions
from authn.authentication import user_of
from authn.models import Session
from authn.serializers import CallerSerializer, PasswordChange, SessionSerializer
from fluxiq import ids
from fluxiq.errors import NotFound
from fluxiq.http import TOKEN_ONLY
from fluxiq.views import ApiView, data, no_content


class MeView(ApiView):
    """Who is calling, and what they hold where."""

    required_permissions: ClassVar = {"GET": None}

    def get(self, request: Request) -> Response:
        return data(CallerSerializer, self.principal)


class PasswordView(ApiView):
    """Change one's password; all other sessions are over."""

    kinds = TOKEN_ONLY
    required_permissions: ClassVar = {"POST": None}

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

    kinds = TOKEN_ONLY
    required_permissions: ClassVar = {"GET": None, "DELETE": None}

    def get(self, request: Request) -> Response:
        rows = Session.objects.live().of(self.principal)
        return self.page(rows, SessionSerializer)

    def delete(self, request: Request) -> Response:
        sessions.end_all(user_of(request), "all sessions ended by their user")
        return no_content()


class SessionView(ApiView):
    """End one of one's sessions."""

    kinds = TOKEN_ONLY
    required_permissions: ClassVar = {"DELETE": None}

    def delete(self, request: Request, session_id: str) -> Response:
        if not ids.is_valid(ids.Prefix.SESSION, session_id):
            raise NotFound
        if (
            not Session.objects.live()
            .of(self.principal)
            .filter(pk=session_id)
            .end("ended by its user")
        ):
            raise NotFound
        return no_content()
