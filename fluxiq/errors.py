"""The errors of the API and their one envelope: `{"error": {"code", "message", …}}`.

Source: authentication document, "Error responses"; contract, section 4.
"""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render as render_page
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from fluxiq import writes
from fluxiq.limits import Usage
from fluxiq.logs import in_a_line

logger = logging.getLogger(__name__)

# SQLSTATE, of a server that only reads: a standby, as while another takes over.
READ_ONLY_TRANSACTION = "25006"

INVALID_TOKEN = "Invalid or expired authentication token"  # noqa: S105 - a message, not a secret
INVALID_LOGIN = "Invalid document or password"
INVALID_CHALLENGE = "Invalid or expired challenge or code"
INVALID_INVITATION = "Invalid or expired invitation, document or password"


class ApiError(exceptions.APIException):
    """An error that the API answers: status, code and message as class attributes."""

    status_code = 500
    code = "INTERNAL_ERROR"
    message = "Something went wrong on our side"

    def __init__(self, message: str | None = None, **extra: object) -> None:
        super().__init__(message or self.message)
        self.message = message or self.message
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """The envelope."""
        return {"error": {"code": self.code, "message": self.message, **self.extra}}

    def headers(self) -> dict[str, str]:
        """The headers that this error adds to its response."""
        return {}


class ValidationFailed(ApiError):
    """400: something in the body or the query is not as documented; `details` by field."""

    status_code = 400
    code = "VALIDATION_ERROR"
    message = "The request is not valid"

    def __init__(self, details: Mapping[str, Sequence[str]], message: str | None = None) -> None:
        super().__init__(message, details={k: list(v) for k, v in details.items()})


class Unauthorized(ApiError):
    """401: one answer for every fault of a credential (RFC 6750, section 3)."""

    status_code = 401
    code = "UNAUTHORIZED"
    message = INVALID_TOKEN

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class Forbidden(ApiError):
    """403: authenticated, but without the permission named (None where there is none to name).

    `merchant_id` is where it was asked for, as far as that is known; it is not told.
    """

    status_code = 403
    code = "FORBIDDEN"
    message = "Insufficient permissions for this operation"

    def __init__(self, required_permission: str | None = None, merchant_id: str = "") -> None:
        super().__init__(required_permission=required_permission)
        self.merchant_id = merchant_id


class MfaRequired(ApiError):
    """403: the password is right, and does not do alone.

    `challenge` is to be finished within `expires_in` seconds at /auth/login/mfa. Both are None for
    a superuser without a second factor, who enrols first, at `enrol_at`.
    """

    status_code = 403
    code = "MFA_REQUIRED"
    message = "A second factor is required. Finish at /auth/login/mfa with the challenge and a code"
    enrol_first = "A second factor is required. Sign in at the staff console to enrol one"

    def __init__(self, challenge: str | None, expires_in: int | None = None) -> None:
        enrols = challenge is None
        super().__init__(
            self.enrol_first if enrols else None,
            challenge=challenge,
            expires_in=expires_in,
            enrol_at="/admin/" if enrols else None,
        )


class NotFound(ApiError):
    """404: there is no such thing for this caller."""

    status_code = 404
    code = "NOT_FOUND"
    message = "Not found"


class MethodNotAllowed(ApiError):
    """405, with `Allow`."""

    status_code = 405
    code = "METHOD_NOT_ALLOWED"
    message = "Method not allowed"


class NotAcceptable(ApiError):
    """406: the API speaks JSON alone."""

    status_code = 406
    code = "NOT_ACCEPTABLE"
    message = "Only application/json can be served"


class Conflict(ApiError):
    """409: the request is valid, but the state of the object does not allow it."""

    status_code = 409
    code = "CONFLICT"
    message = "The request conflicts with the current state"


class PayloadTooLarge(ApiError):
    """413: a body over 64 KiB."""

    status_code = 413
    code = "PAYLOAD_TOO_LARGE"
    message = "The request body is larger than 65536 bytes"


class UnsupportedMediaType(ApiError):
    """415: the body is not of a content type that is read here."""

    status_code = 415
    code = "UNSUPPORTED_MEDIA_TYPE"
    message = "Unsupported content type; send application/json"


class RateLimited(ApiError):
    """429: `retry_after` in seconds, also in the message and in `Retry-After`."""

    status_code = 429
    code = "RATE_LIMITED"

    def __init__(self, usage: Usage) -> None:
        seconds = usage.retry_after
        super().__init__(f"Rate limit exceeded. Retry after {seconds} seconds", retry_after=seconds)
        self.retry_after = seconds
        self.usage = usage

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after)}


class ServiceUnavailable(ApiError):
    """503: a part that the answer needs is away; trying again soon may work."""

    status_code = 503
    code = "SERVICE_UNAVAILABLE"
    message = "The service is temporarily unavailable"

    def __init__(self, request_id: str | None = None, retry_after: int = 1) -> None:
        super().__init__(request_id=request_id)
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after)}


class InternalError(ApiError):
    """500: no word of the exception leaves the service, only the id to find it in the log."""

    def __init__(self, request_id: str | None = None) -> None:
        super().__init__(request_id=request_id)


def _writable(text: object) -> str:
    """The text with what UTF-8 cannot hold escaped: messages may quote what a client sent."""
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


def _details(detail: Any, path: str = "") -> dict[str, list[str]]:
    """Flatten DRF's nested error detail to {dotted field: [messages]}."""
    if isinstance(detail, Mapping):
        found: dict[str, list[str]] = {}
        for key, value in detail.items():
            name = "body" if key == "non_field_errors" else _writable(key)
            found |= _details(value, f"{path}.{name}" if path else name)
        return found
    if isinstance(detail, list) and any(isinstance(d, Mapping | list) for d in detail):
        found = {}
        for index, value in enumerate(detail):
            if value:
                found |= _details(value, f"{path}.{index}" if path else str(index))
        return found
    messages = detail if isinstance(detail, list) else [detail]
    return {path or "body": [_writable(m) for m in messages]}


def from_exception(exc: Exception, request_id: str | None) -> ApiError | None:
    """The API's error for an exception that a view raised, or None for one nobody expected."""
    match exc:
        case ApiError():
            return exc
        case exceptions.ValidationError():
            return ValidationFailed(_details(exc.detail))
        case exceptions.ParseError():
            return ValidationFailed({"body": [str(exc.detail)]})
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return Unauthorized()
        case exceptions.PermissionDenied() | DjangoPermissionDenied():
            return Forbidden()
        case exceptions.NotFound() | Http404():
            return NotFound()
        case exceptions.MethodNotAllowed():
            return MethodNotAllowed()
        case exceptions.NotAcceptable():
            return NotAcceptable()
        case exceptions.UnsupportedMediaType():
            return UnsupportedMediaType()
        case OperationalError() | InterfaceError():
            return ServiceUnavailable(request_id)
        case DatabaseError() if _only_reads(exc):
            return ServiceUnavailable(request_id)
    return None


def _only_reads(exc: DatabaseError) -> bool:
    """Whether the database refused to write because it is one that only reads, for now."""
    return getattr(exc.__cause__, "sqlstate", None) == READ_ONLY_TRANSACTION


def drf_exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER: the envelope, or None so that Django logs and answers the 500."""
    request = context["request"]
    error = from_exception(exc, getattr(request, "request_id", None))
    if error is None:
        return None
    if isinstance(error, RateLimited):
        request._request.limit_usage = error.usage
    headers = error.headers()
    if isinstance(exc, exceptions.MethodNotAllowed):
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    response = Response(error.body(), status=error.status_code, headers=headers)
    if isinstance(error, ServiceUnavailable):
        _tell_unavailable(request, response, exc)
    return response


def unavailable(request: HttpRequest, error: Exception) -> JsonResponse:
    """503 for what the database or the counters could not do, outside a DRF view."""
    response = render(ServiceUnavailable(getattr(request, "request_id", None)))
    _tell_unavailable(request, response, error)
    return response


def _tell_unavailable(request: Any, response: HttpResponse, error: Exception) -> None:
    """Log one line, and keep Django from adding its own: in an outage every request is answered so,
    and a traceback of each would bury what matters."""
    route = getattr(request.resolver_match, "route", "-")
    logger.error("%s %s answered 503: %s", request.method, route, in_a_line(error))
    response._has_been_logged = True  # type: ignore[attr-defined]
    writes.note(error)


def render(error: ApiError) -> JsonResponse:
    """The error as a plain Django response, for what is answered outside a DRF view."""
    return JsonResponse(error.body(), status=error.status_code, headers=error.headers())


def _is_staff_console(request: HttpRequest) -> bool:
    return request.path.startswith("/admin/")


def _console_page(request: HttpRequest, template: str, status: int) -> HttpResponse:
    """A page in the console's theme; bare where who asks is not known yet."""
    context: dict[str, Any] = {}
    if hasattr(request, "user"):
        context = {
            **admin.site.each_context(request),
            "is_nav_sidebar_enabled": admin.site.has_permission(request),
        }
    return render_page(request, template, context, status=status)


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A request that Django itself refused (a bad Host header, a malformed form)."""
    if _is_staff_console(request):
        return defaults.bad_request(request, exception)
    return render(ValidationFailed({"request": ["The request could not be understood"]}))


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A refusal outside DRF."""
    if _is_staff_console(request):
        return _console_page(request, "403.html", HTTPStatus.FORBIDDEN)
    return render(Forbidden())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without its token: the page of every other refusal. Django has logged the reason."""
    return _console_page(request, "403.html", HTTPStatus.FORBIDDEN)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    """No route."""
    if _is_staff_console(request):
        return _console_page(request, "404.html", HTTPStatus.NOT_FOUND)
    return render(NotFound())


def handler500(request: HttpRequest) -> HttpResponse:
    """An exception nobody expected; Django has logged it."""
    if _is_staff_console(request):
        return defaults.server_error(request)
    return render(InternalError(getattr(request, "request_id", None)))
