"""Which error of the API an exception is, and what answers where no view did.

`drf_exception_handler` serves the views; Django's handlers serve what never reached one, and answer
the staff console with a page.
"""

import logging
from collections.abc import Mapping
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
from fluxiq.errors import (
    ApiError,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    RateLimited,
    ServiceUnavailable,
    Unauthorized,
    UnsupportedMediaType,
    ValidationFailed,
    render,
)
from fluxiq.logs import in_a_line

logger = logging.getLogger(__name__)

# SQLSTATE, of a server that only reads: a standby, as while another takes over.
READ_ONLY_TRANSACTION = "25006"


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
        case ServiceUnavailable():  # whoever raised it does not know the request
            return ServiceUnavailable(request_id, exc.retry_after)
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
    request_id = getattr(request, "request_id", None)
    response = render(from_exception(error, request_id) or ServiceUnavailable(request_id))
    _tell_unavailable(request, response, error)
    return response


def _tell_unavailable(request: Any, response: HttpResponse, error: Exception) -> None:
    """Log one line, and keep Django from adding its own: in an outage every request is answered so,
    and a traceback of each would bury what matters."""
    route = getattr(request.resolver_match, "route", "-")
    logger.error("%s %s answered 503: %s", request.method, route, in_a_line(error))
    response._has_been_logged = True  # type: ignore[attr-defined]
    writes.note(error)


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
    """A request that Django itself refused, such as a malformed form."""
    if _is_staff_console(request):
        return render_page(request, "400.html", status=HTTPStatus.BAD_REQUEST)
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
