"""What a client sent that is no HTTP request is answered as the API answers, and repeated nowhere.

gunicorn would repeat it in its log and in an answer in HTML. It can be anything: where a client
tells too small a Content-Length, what is left of its body, a password perhaps, is read as the first
line of the next request. No Django in it.
"""

import json
import secrets
from http import HTTPStatus

from gunicorn.http import errors


class TooSlow(errors.ParseException):  # type: ignore[misc]
    """A request's head and body did not come within their time."""


class TooLarge(errors.ParseException):  # type: ignore[misc]
    """A body is larger than any is read."""


class BrokenOff(errors.ParseException):  # type: ignore[misc]
    """A body ended before it was as long as was said."""


_STATUSES: dict[type[Exception], HTTPStatus] = {
    TooSlow: HTTPStatus.REQUEST_TIMEOUT,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}
# gunicorn's own, and what the application answered wrongly: faults of ours.
_OURS = (
    errors.ConfigurationProblem,
    errors.InvalidResponseHeader,
    errors.InvalidResponseHeaderName,
)
# A code and a message, where it is not VALIDATION_ERROR.
_CODES = {
    HTTPStatus.REQUEST_TIMEOUT: ("REQUEST_TIMEOUT", "The request did not arrive in time"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "PAYLOAD_TOO_LARGE",
        "The request body is larger than 65536 bytes",
    ),
}
_HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Refusal:
    """The answer to a request that gunicorn could not read, or that failed outside Django."""

    def __init__(self, fault: Exception) -> None:
        self.is_ours = not isinstance(fault, errors.ParseException) or isinstance(fault, _OURS)
        self.request_id = f"req_{secrets.token_hex(12)}"
        if self.is_ours:
            self.status = HTTPStatus.INTERNAL_SERVER_ERROR
        else:
            self.status = _STATUSES.get(type(fault), HTTPStatus.BAD_REQUEST)

    def headers(self) -> dict[str, str]:
        """The headers of the answer."""
        return {
            **_HEADERS,
            "X-Request-ID": self.request_id,
            "Content-Length": str(len(self.body())),
        }

    def body(self) -> bytes:
        """The body of the answer."""
        return json.dumps({"error": self._error()}).encode()

    def content(self) -> bytes:
        """The whole answer, head and body, after which the connection closes."""
        lines = [f"HTTP/1.1 {self.status} {self.status.phrase}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers().items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body()

    def _error(self) -> dict[str, object]:
        if self.is_ours:
            message = "Something went wrong on our side"
            return {"code": "INTERNAL_ERROR", "message": message, "request_id": self.request_id}
        if self.status in _CODES:
            code, message = _CODES[self.status]
            return {"code": code, "message": message}
        details = {"request": [self.status.phrase]}
        message = "The request is not valid"
        return {"code": "VALIDATION_ERROR", "message": message, "details": details}
