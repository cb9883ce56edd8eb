"""The errors of the API and their one envelope: `{"error": {"code", "message", …}}`.

Source: authentication document, "Error responses"; contract, section 4.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import JsonResponse
from rest_framework import exceptions

from fluxiq.limits import Usage

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


def render(error: ApiError) -> JsonResponse:
    """The error as a plain Django response, for what is answered outside a DRF view."""
    return JsonResponse(error.body(), status=error.status_code, headers=error.headers())
