"""Middleware that knows no app: request ids, and what only the staff console needs."""

import re
import secrets
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware

from fluxiq.addresses import client_address, is_within, parse_address
from fluxiq.origin import Origin, name_actor, working_as

GetResponse = Callable[[HttpRequest], HttpResponseBase]

STAFF_CONSOLE = "/admin/"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_MAX_USER_AGENT = 300


def printable(text: str, limit: int) -> str:
    """What of a header may be stored: printable characters, at most `limit` of them."""
    return "".join(c for c in text if c.isprintable())[:limit]


class RequestOriginMiddleware:
    """The outermost layer: names the request, finds the client's address, and tells the log.

    A request id of a trusted proxy is kept, so that one id runs through all logs.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        meta = request.META
        peer = meta.get("REMOTE_ADDR", "")
        trusted = settings.TRUSTED_PROXIES
        given = meta.get("HTTP_X_REQUEST_ID", "")
        keep = _REQUEST_ID.fullmatch(given) and is_within(parse_address(peer), trusted)
        origin = Origin(
            address=client_address(peer, meta.get("HTTP_X_FORWARDED_FOR", ""), trusted),
            user_agent=printable(meta.get("HTTP_USER_AGENT", ""), _MAX_USER_AGENT),
            request_id=given if keep else "req_" + secrets.token_hex(12),
        )
        request.address = origin.address  # type: ignore[attr-defined]
        request.request_id = origin.request_id  # type: ignore[attr-defined]
        with working_as(origin):
            response = self.get_response(request)
        response.headers["X-Request-ID"] = origin.request_id
        return response


class StaffConsoleOnly:
    """Skips a middleware everywhere but under the staff console: the API has no cookies."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith(STAFF_CONSOLE):
            return super().__call__(request)  # type: ignore[misc]
        return self.get_response(request)


class StaffSessionMiddleware(StaffConsoleOnly, SessionMiddleware):
    """Django's sessions, for the staff console."""


class StaffCsrfMiddleware(StaffConsoleOnly, CsrfViewMiddleware):
    """Django's CSRF protection, for the staff console."""

    def process_view(self, request: HttpRequest, *args: Any) -> Any:
        if request.path_info.startswith(STAFF_CONSOLE):
            return super().process_view(request, *args)
        return None


class StaffAuthenticationMiddleware(StaffConsoleOnly, AuthenticationMiddleware):
    """Django's sign-in, for the staff console."""

    def process_view(self, request: HttpRequest, *args: Any) -> None:
        """Nothing: the admin site asks for its own sign-in."""


class StaffMessageMiddleware(StaffConsoleOnly, MessageMiddleware):
    """Django's messages, for the staff console."""


class StaffActorMiddleware:
    """Names the member of staff as the actor of what the console does."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(STAFF_CONSOLE) and request.user.is_authenticated:
            name_actor("staff", str(request.user.pk))
        return self.get_response(request)
