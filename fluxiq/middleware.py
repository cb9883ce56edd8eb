"""Middleware that knows no app: request ids, and what only the staff console needs."""

import logging
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from typing import Any, cast

from corsheaders.middleware import CorsMiddleware
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import BadRequest, TooManyFieldsSent
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from whitenoise.middleware import WhiteNoiseMiddleware

from fluxiq import hosts, metrics
from fluxiq.addresses import Network, client_address, is_within, parse_address
from fluxiq.http import (
    PERMISSIONS_POLICY,
    Stored,
    set_headers,
    set_missing_headers,
    stored,
)
from fluxiq.metrics.families import MILLISECOND
from fluxiq.origin import Origin, name_actor, working_as

GetResponse = Callable[[HttpRequest], HttpResponseBase]

logger = logging.getLogger("fluxiq.requests")

API_PREFIX = "/api/"
STAFF_CONSOLE = "/admin/"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_MAX_USER_AGENT = 300


def printable(text: str, limit: int) -> str:
    """What of a header may be stored: printable characters, at most `limit` of them."""
    if text.isprintable():
        return text[:limit]
    return "".join(c for c in text if c.isprintable())[:limit]


class OutermostMiddleware:
    """Names the request, finds the client's address, refuses a host that is not served, and gives
    every response Django's security headers.

    A request id of a trusted proxy is kept, so that one id runs through all logs. The headers are
    those that Django's SecurityMiddleware sets, asked of it once: they are the same each time.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._security = SecurityMiddleware(get_response)
        self._hosts = hosts.ServedHosts()
        self._logs: bool = settings.LOG_REQUESTS
        self._headers = {scheme: self._security_headers(scheme) for scheme in ("http", "https")}

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = metrics.now()
        meta = request.META
        peer = meta.get("REMOTE_ADDR", "")
        trusted = settings.TRUSTED_PROXIES
        origin = Origin(
            address=client_address(peer, meta.get("HTTP_X_FORWARDED_FOR", ""), trusted),
            user_agent=printable(meta.get("HTTP_USER_AGENT", ""), _MAX_USER_AGENT),
            request_id=_kept_request_id(meta, peer, trusted) or _new_request_id(),
            request=request,
        )
        request.address = origin.address  # type: ignore[attr-defined]
        request.request_id = origin.request_id  # type: ignore[attr-defined]
        with working_as(origin):
            response = self._answer(request)
            if self._logs:
                _log(request, response.status_code, began)
        set_headers(response, {"X-Request-ID": origin.request_id})
        set_missing_headers(response, self._headers[request.scheme or "http"])
        match, kind = request.resolver_match, origin.actor_kind
        route = match.route if match is not None else None
        metrics.request_ended(request.method or "", route, response.status_code, kind, began)
        return response

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        if self._hosts.include(request):
            return self._redirect(request) or self.get_response(request)
        if request.path_info.startswith(API_PREFIX):
            return self.get_response(request)  # the gate refuses it, with the headers of the limit
        return hosts.refuse(request)

    def _redirect(self, request: HttpRequest) -> HttpResponseBase | None:
        """To https, where that is asked for and the request came without."""
        if not self._security.redirect:
            return None
        redirect: HttpResponseBase | None = self._security.process_request(request)
        return redirect

    def _security_headers(self, scheme: str) -> Stored:
        environ = {"REQUEST_METHOD": "GET", "wsgi.input": BytesIO(), "wsgi.url_scheme": scheme}
        response = HttpResponse()
        del response.headers["Content-Type"]
        secured = self._security.process_response(WSGIRequest(environ), response)
        return stored(dict(secured.items()))


def _new_request_id() -> str:
    # Unique, and no secret. The kernel's randomness would be a system call, during which Python
    # has another thread take its turn. (Each process, forked or not, is seeded by itself.)
    return f"req_{random.getrandbits(96):024x}"


def _log(request: HttpRequest, status: int, began: int) -> None:
    """A line for the request. Neither its path nor its query: a client may put anything there."""
    took = (metrics.now() - began) / MILLISECOND
    match = request.resolver_match
    route = match.route if match is not None else "-"
    fields = {"status": status, "milliseconds": round(took, 2)}
    line = "%s %s %d in %.2f ms"
    logger.info(line, request.method, route, status, took, extra={"fields": fields})


def _kept_request_id(meta: dict[str, str], peer: str, trusted: Sequence[Network]) -> str | None:
    """The id that a trusted proxy gave the request, if it did and it is one."""
    given = meta.get("HTTP_X_REQUEST_ID")
    if given is None or _REQUEST_ID.fullmatch(given) is None:
        return None
    return given if is_within(parse_address(peer), trusted) else None


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
        # What the layers themselves raise is answered within, so that it gets the headers too.
        inner = convert_exception_to_response(inner)
        self._console = XFrameOptionsMiddleware(CSPMiddleware(inner))

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(STAFF_CONSOLE):
            return self.get_response(request)
        # Django would decode the query by the Content-Type, which may name a charset that makes
        # lone surrogates. (Beyond the number of fields, the view is told when it reads them.)
        if request.encoding is not None:
            with suppress(TooManyFieldsSent):
                request.encoding = "utf-8"
        language = translation.get_language_from_request(request)
        # For this request alone: the API, in English and UTC, is served by the same thread next.
        with translation.override(language), timezone.override(settings.STAFF_TIME_ZONE):
            response = cast(HttpResponseBase, self._console(request))  # async is not how we serve
        response.headers.setdefault("Content-Language", language)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        if "no-store" not in response.headers.get("Cache-Control", ""):
            response.headers["Cache-Control"] = "no-store"
        patch_vary_headers(response, ("Accept-Language",))
        return response

    def process_view(self, request: HttpRequest, *args: Any) -> Any:
        """Refuse a form without its CSRF token. Raises BadRequest for a NUL character in address,
        query or form, which no browser sends and PostgreSQL does not take."""
        if not request.path_info.startswith(STAFF_CONSOLE):
            return None
        refusal = self._csrf.process_view(request, *args)
        if refusal is None and "\0" in "".join(_texts(request)):
            raise BadRequest("There is a NUL character in the request")
        return refusal

    def _name_actor(self, request: HttpRequest) -> HttpResponseBase:
        if request.user.is_authenticated:
            name_actor("staff", str(request.user.pk))
        return self.get_response(request)


def _texts(request: HttpRequest) -> Iterator[str]:
    """All that the client chose of address, query and form."""
    yield request.path_info
    for fields in (request.GET, request.POST):
        for name, values in fields.lists():
            yield name
            yield from values


class BrowserMiddleware:
    """What is for browsers alone: static files and the staff console, and, for the API, CORS where
    an Origin asks for it. (The gate tells all that the answer depends on one.)

    One layer, since each costs every request.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._cors = CorsMiddleware(get_response)
        self._console = StaffConsoleMiddleware(get_response)
        self._static_files = WhiteNoiseMiddleware(self._console)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(API_PREFIX):
            return cast(HttpResponseBase, self._static_files(request))
        if "HTTP_ORIGIN" in request.META:
            return cast(HttpResponseBase, self._cors(request))
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *args: Any) -> Any:
        """Refuse a form of the staff console without its CSRF token."""
        return self._console.process_view(request, *args)
