"""The gate before the API: authenticate once, count once, refuse what is too much, write headers.

A middleware, and not DRF's throttles: those never see a 401, an unknown URL or a 500, all of
which count and carry the headers. The credential is verified once the route is known
(`process_view`), since what it serves for is the view's to say; what never reached a view is
settled on the way out.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, cast

from django.core.exceptions import TooManyFieldsSent
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from rest_framework_simplejwt.exceptions import TokenError

from authn import authentication, keys, ratelimit, recognition
from authn.authentication import Verified
from authn.models import Session
from authn.models.api_key_queries import KeyRefused
from authn.ratelimit import Bucket
from authn.tokens import AccessToken
from authn.usage import Use
from fluxiq import hosts, metrics, origin
from fluxiq.error_handlers import unavailable
from fluxiq.errors import (
    ApiError,
    PayloadTooLarge,
    RateLimited,
    ServiceUnavailable,
    Unauthorized,
)
from fluxiq.errors import render as render_error
from fluxiq.http import Credential, set_headers
from fluxiq.limits import Usage
from fluxiq.middleware import API_PREFIX
from fluxiq.principals import Kind, Principal

MAX_BODY = 64 * 1024

# The gateways' questions: every method is asked of the view itself, OPTIONS too.
NEVER_PREFLIGHT = re.compile(r"^/api/v1/auth/(verify|introspect)$")


def is_preflight(request: HttpRequest) -> bool:
    """Whether a browser asks what it may send (Fetch standard, CORS-preflight request)."""
    return (
        request.method == "OPTIONS"
        and "HTTP_ORIGIN" in request.META
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.META
        and NEVER_PREFLIGHT.match(request.path_info) is None
    )


class Gate:
    """What is known of one request: its caller, and the bucket that it counted in."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._verified: Verified | None = None
        self._refusal: Unauthorized | None = None
        self._use: Use | None = None
        self.counted_in: Bucket | None = None

    @property
    def principal(self) -> Principal | None:
        """The verified caller, or None."""
        return self._verified[1] if self._verified is not None else None

    def verified(self) -> Verified | None:
        """What the credential proved; None without one. Raises Unauthorized for a bad one."""
        if self._refusal is not None:
            raise self._refusal
        return self._verified

    def identify(self) -> None:
        """Verify the credential of the Authorization header."""
        try:
            self._verified = authentication.verify(self._request)
        except Unauthorized as refusal:
            self._refusal = refusal
            if isinstance(refusal, KeyRefused):
                self._use = Use(refusal.api_key_id)
        if self.principal is not None:
            origin.name_actor(self.principal.kind, self.principal.id)

    def enter(self, credential: Credential) -> None:
        """Verify as the view asks, and count. Raises RateLimited."""
        if credential in (Credential.REQUIRED, Credential.OPTIONAL) and self._recognise():
            if credential is Credential.OPTIONAL:
                self._refusal = None
            return
        match credential:
            case Credential.IN_BODY:
                return
            case Credential.IGNORED:
                self.count_address()
                return
            case Credential.OPTIONAL:
                self.identify()
                self._refusal = None
            case Credential.EVEN_EXPIRED if (token := self._authentic_token()) is not None:
                self._count_even_expired(token)
                return
            case _:
                self.identify()
        self.count_caller()

    def _recognise(self) -> bool:
        """Whether the caller is remembered, and so verified and counted. Raises RateLimited."""
        header = self._request.META.get("HTTP_AUTHORIZATION", "")
        credential = authentication.b64token(header)
        if credential is None:
            return False
        try:
            found = recognition.recognise(credential, self._request.address)  # type: ignore[attr-defined]
        except KeyRefused as refusal:
            self._refusal = refusal
            self._use = Use.recalled(refusal.api_key_id, refusal.tallied_at)
            self.count_address()
            return True
        if found is None:
            return False
        self._verified = found.verified
        principal = found.verified[1]
        origin.name_actor(principal.kind, principal.id)
        self._use = found.use
        self._note(found.bucket, found.usage)
        return True

    def _authentic_token(self) -> AccessToken | None:
        """The access token of any age in the header, or None: a key, or nothing good."""
        try:
            credential = authentication.bearer(self._request)
            if credential is None or credential.startswith(keys.MARKER):
                return None
            return AccessToken.authentic(credential)
        except (Unauthorized, TokenError):
            return None

    def _count_even_expired(self, token: AccessToken) -> None:
        """Count to the token's user while its session is live, else to the address.

        Counted to its user, a token of an ended session would let whoever finds one use up that
        user's limit for ever. Raises RateLimited.
        """
        if Session.objects.live_of(token.user_id, token.session_id) is not None:
            self.count_user(token.user_id)
        else:
            self.count_address()

    def count_caller(self) -> None:
        """Count in the caller's bucket, or their address's. Raises RateLimited."""
        if self.principal is not None:
            if self.principal.kind is Kind.API_KEY:
                self._use = Use(self.principal.id)
                self._use.admit(self._request.address)  # type: ignore[attr-defined]
            self.count(ratelimit.bucket_of(self.principal))
        else:
            self.count_address()

    def count_address(self) -> None:
        """Count in the bucket of the client's address. Raises RateLimited."""
        self.count(ratelimit.address_bucket(self._request.address))  # type: ignore[attr-defined]

    def count_user(self, user_id: str) -> None:
        """Count in the bucket of a user whose session is known to be live. Raises RateLimited."""
        self.count(ratelimit.user_bucket(user_id))

    def count(self, bucket: Bucket) -> None:
        """Count in this bucket, and record it for the headers. Raises RateLimited."""
        self._note(bucket, ratelimit.count(bucket))

    def _note(self, bucket: Bucket, usage: Usage) -> None:
        """Record what was counted for the headers. Raises RateLimited."""
        self.counted_in = bucket
        self._record(usage)
        metrics.bucket_counted(bucket.kind, usage.is_exceeded)
        if usage.is_exceeded:
            raise RateLimited(usage)

    def look(self) -> None:
        """Record the address's bucket for the headers without counting in it."""
        bucket = ratelimit.address_bucket(self._request.address)  # type: ignore[attr-defined]
        self._record(ratelimit.look(bucket))

    def settle(self, status: int) -> None:
        """Count what never entered, and in its address's bucket whatever is answered 401. Whoever
        could not be verified or counted, for an outage, is counted nowhere.

        Raises RateLimited.
        """
        if self.counted_in is None:
            if status == ServiceUnavailable.status_code:
                self.look()
                return
            if status != Unauthorized.status_code:
                self.identify()
            self.count_caller()
        elif status == Unauthorized.status_code and self.counted_in.kind != "address":
            self.count_address()

    def end(self, status: int) -> None:
        """Note how the request of an API key was answered."""
        if self._use is not None:
            self._use.end(status)

    def _record(self, usage: Usage) -> None:
        self._request.limit_usage = usage  # type: ignore[attr-defined]


class GateMiddleware:
    """Guards everything under `/api/`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._hosts = hosts.ServedHosts()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(API_PREFIX):
            return self.get_response(request)
        # Django would read the query in whatever charset the Content-Type names, and so let a
        # client hide a parameter, such as the permission that a gateway asks about.
        if request.encoding is not None:
            with suppress(TooManyFieldsSent):  # the view is told when it reads the query itself
                request.encoding = "utf-8"
        gate = Gate(request)
        request.gate = gate  # type: ignore[attr-defined]
        if not self._hosts.include(request):
            response: HttpResponseBase = hosts.refuse(request)
            gate.look()
            self._finish(request, response)
            return response
        response = self.get_response(request)
        try:
            if is_preflight(request):
                gate.look()
            else:
                gate.settle(response.status_code)
        except (ServiceUnavailable, OperationalError, InterfaceError) as error:
            response = _in_place_of(response, unavailable(request, error))
            if gate.counted_in is None:
                gate.look()
        except ApiError as error:
            response = _in_place_of(response, render_error(error))
        gate.end(response.status_code)
        self._finish(request, response)
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Enter the view that the URL names, or answer in its place."""
        if not request.path_info.startswith(API_PREFIX):
            return None
        view_class = getattr(view, "cls", None)
        gate = cast(Any, request).gate
        try:
            gate.enter(getattr(view_class, "credential", Credential.REQUIRED))
        except (ServiceUnavailable, OperationalError, InterfaceError) as error:
            return unavailable(request, error)
        except ApiError as error:
            return render_error(error)
        if getattr(view_class, "reads_body", True) and _body_length(request) > MAX_BODY:
            return render_error(PayloadTooLarge())
        return None

    def _finish(self, request: HttpRequest, response: HttpResponseBase) -> None:
        usage: Usage | None = getattr(request, "limit_usage", None)
        headers = usage.headers() if usage is not None else {}
        if isinstance(response, HttpResponse) and response.status_code != HTTPStatus.NO_CONTENT:
            headers["Content-Length"] = str(len(response.content))
        present = response.headers
        if "Vary" in present:
            patch_vary_headers(response, ("Authorization", "origin"))
        else:
            headers["Vary"] = "Authorization, origin"
        gate: Gate = cast(Any, request).gate
        is_private = gate.principal is not None or response.status_code == Unauthorized.status_code
        if is_private or "Cache-Control" not in present:
            headers["Cache-Control"] = "no-store"
        set_headers(response, headers)


def _body_length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0  # as Django reads it: no body


def _in_place_of(response: HttpResponseBase, replacement: HttpResponse) -> HttpResponse:
    """The replacement, with what CORS wrote on the response that it replaces."""
    for name, value in response.headers.items():
        if name.lower().startswith("access-control-") or name == "Vary":
            replacement.headers[name] = value
    return replacement
