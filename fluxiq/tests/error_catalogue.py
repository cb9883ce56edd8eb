"""Each error of the API, with its documented status and code."""

from fluxiq import errors
from fluxiq.limits import Usage

CATALOGUE: list[tuple[errors.ApiError, int, str]] = [
    (errors.ValidationFailed({"name": ["x"]}), 400, "VALIDATION_ERROR"),
    (errors.Unauthorized(), 401, "UNAUTHORIZED"),
    (errors.Forbidden("pix:write"), 403, "FORBIDDEN"),
    (errors.NotFound(), 404, "NOT_FOUND"),
    (errors.MethodNotAllowed(), 405, "METHOD_NOT_ALLOWED"),
    (errors.NotAcceptable(), 406, "NOT_ACCEPTABLE"),
    (errors.Conflict(), 409, "CONFLICT"),
    (errors.PayloadTooLarge(), 413, "PAYLOAD_TOO_LARGE"),
    (errors.UnsupportedMediaType(), 415, "UNSUPPORTED_MEDIA_TYPE"),
    (errors.RateLimited(Usage("user", 100, 101, 60, 0)), 429, "RATE_LIMITED"),
    (errors.InternalError("req_1"), 500, "INTERNAL_ERROR"),
    (errors.ServiceUnavailable("req_1"), 503, "SERVICE_UNAVAILABLE"),
]
