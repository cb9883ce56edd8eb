"""Middleware that knows no app: request ids, and what only the staff console needs."""

import re
import secrets
from collections.abc import Callable
from typing import Any, cast

from corsheaders.middleware import CorsMiddleware
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers

from fluxiq.addresses import client_address, is_within, parse_address
from fluxiq.origin import Origin, name_actor, working_as

GetResponse = Callable[[HttpRequest], HttpResponseBase]

STAFF_CONSOLE = "/admin/"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_MAX_USER_AGENT = 300


def printable(text: str, limit: int) -> str:
    """What of a header may be stored: printable characters, at most `limit` of them."""
    if text.isprintable():
        return text[:limit]
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


# What of a browser's powers no page of ours has a use for.
PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


class StaffConsoleMiddleware:
    """Cookies, CSRF protection, sign-in, messages, language, local time and the headers of pages,
    under the staff console alone.

    Django's own middleware, composed here: the API has no cookies, and each layer costs every
    request. (Their view hooks are called by hand below: Django calls those of the list alone.)
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._csrf = CsrfViewMiddleware(self._name_actor)
        inner: Any = self._csrf
        for layer in (MessageMiddleware, AuthenticationMiddleware, SessionMiddleware):
            inner = layer(inner)
        self._console = XFrameOptionsMiddleware(CSPMiddleware(inner))

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(STAFF_CONSOLE):
            return self.get_response(request)
        language = translation.get_language_from_request(request)
        # For this request alone: the API, in English and UTC, is served by the same thread next.
        with translation.override(language), timezone.override(settings.STAFF_TIME_ZONE):
            response = cast(HttpResponseBase, self._console(request))  # async is not how we serve
        response.headers.setdefault("Content-Language", language)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        patch_vary_headers(response, ("Accept-Language",))
        return response

    def process_view(self, request: HttpRequest, *args: Any) -> Any:
        """Refuse a form without its CSRF token."""
        if request.path_info.startswith(STAFF_CONSOLE):
            return self._csrf.process_view(request, *args)
        return None

    def _name_actor(self, request: HttpRequest) -> HttpResponseBase:
        if request.user.is_authenticated:
            name_actor("staff", str(request.user.pk))
        return self.get_response(request)


class CorsForBrowsersMiddleware(CorsMiddleware):
    """CORS where an Origin asks for it. (The gate tells all that the answer depends on one.)"""

    def __call__(self, request: HttpRequest) -> Any:
        if "HTTP_ORIGIN" in request.META:
            return super().__call__(request)
        return self.get_response(request)
