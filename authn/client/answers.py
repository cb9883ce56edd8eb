"""What the authentication service answers, as a service reads it: a grant or a refusal.

Whatever is no answer of the documented form is a refusal too, 503: nothing passes by accident.
"""

import json
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

logger = logging.getLogger("authn.client")

ALL = "*"  # every merchant

# What goes on to the caller. All else is between the two services, or the answering one's to say.
RATE_LIMIT_HEADERS = (
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "RateLimit-Policy",
    "RateLimit",
)
REFUSAL_HEADERS = (
    "Content-Type",
    "Cache-Control",
    "WWW-Authenticate",
    "Retry-After",
    "X-Request-ID",
    *RATE_LIMIT_HEADERS,
)

# The refusals that are the caller's to know, each with its code.
_REFUSALS = {
    HTTPStatus.BAD_REQUEST: "VALIDATION_ERROR",
    HTTPStatus.UNAUTHORIZED: "UNAUTHORIZED",
    HTTPStatus.FORBIDDEN: "FORBIDDEN",
    HTTPStatus.TOO_MANY_REQUESTS: "RATE_LIMITED",
}
_KINDS = ("api_key", "user")
_JSON = "application/json"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


@dataclass(frozen=True, slots=True)
class Grant:
    """The call may pass: who calls, and what they hold.

    `merchants` are those where every permission asked for is held (`*`: all of them), and
    `permissions` what is held at every one of these. `headers` are the caller's rate limits, for
    the service's own answer.
    """

    kind: str
    subject: str
    merchants: tuple[str, ...]
    permissions: frozenset[str]
    headers: Mapping[str, str] = field(default_factory=dict)

    def holds_at(self, merchant_id: str) -> bool:
        """Whether every permission that was asked for is held at this merchant."""
        return ALL in self.merchants or merchant_id in self.merchants


class Refused(Exception):
    """The call may not pass. Status, body and headers are to be answered as they stand."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.body, self.headers)

    @property
    def envelope(self) -> dict[str, Any]:
        """The body as JSON: `{"error": {"code", "message", …}}`."""
        envelope: dict[str, Any] = json.loads(self.body)
        return envelope


def new_request_id(given: str = "") -> str:
    """The id given, where it is one that the authentication service would keep; else a new one."""
    return given if _REQUEST_ID.fullmatch(given) else "req_" + secrets.token_hex(12)


def refusal(
    code: str, status: int, message: str, headers: Mapping[str, str], **extra: Any
) -> Refused:
    """A refusal of the client's own, in the envelope."""
    body = json.dumps(
        {"error": {"code": code, "message": message, **extra}}, separators=(",", ":")
    ).encode()
    return Refused(status, body, {"Content-Type": _JSON, "Cache-Control": "no-store", **headers})


def unauthorized() -> Refused:
    """401, as the authentication service answers it."""
    return refusal(
        "UNAUTHORIZED",
        HTTPStatus.UNAUTHORIZED,
        "Invalid or expired authentication token",
        {"WWW-Authenticate": "Bearer"},
    )


def forbidden(required_permission: str | None) -> Refused:
    """403, as the authentication service answers it."""
    return refusal(
        "FORBIDDEN",
        HTTPStatus.FORBIDDEN,
        "Insufficient permissions for this operation",
        {},
        required_permission=required_permission,
    )


def unavailable(reason: object, request_id: str) -> Refused:
    """503: the question was not answered. The reason goes to the log, and no further."""
    logger.error("%s: no answer of the authentication service: %s", request_id, reason)
    return refusal(
        "SERVICE_UNAVAILABLE",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The service is temporarily unavailable",
        {"Retry-After": "1", "X-Request-ID": request_id},
        request_id=request_id,
    )


def read(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    permissions: Sequence[str],
    merchant_id: str | None,
    request_id: str,
) -> Grant:
    """The grant of an answer to this question. Raises Refused for any other answer.

    A 200 must itself say what was asked for, so that no other server's 200 passes for one.
    """
    fault = _fault(status, headers, body)
    if fault is not None:
        raise unavailable(fault, request_id)
    if status != HTTPStatus.OK:
        if status == HTTPStatus.BAD_REQUEST:
            logger.error("%s: the service asks what cannot be asked: %r", request_id, body)
        raise Refused(status, body, _chosen(headers, REFUSAL_HEADERS))
    grant = Grant(
        kind=headers.get("X-Auth-Kind", ""),
        subject=headers.get("X-Auth-Subject", ""),
        merchants=tuple(filter(None, headers.get("X-Auth-Merchants", "").split(","))),
        permissions=frozenset(headers.get("X-Auth-Permissions", "").split()),
        headers=_chosen(headers, RATE_LIMIT_HEADERS),
    )
    answered = (
        grant.kind in _KINDS
        and grant.subject
        and grant.permissions.issuperset(permissions)
        and (merchant_id is None or grant.merchants == (merchant_id,))
    )
    if not answered:
        raise unavailable("a 200 that does not answer what was asked", request_id)
    return grant


def _fault(status: int, headers: Mapping[str, str], body: bytes) -> str | None:
    """Why this is no answer of the documented form, or None where it is one."""
    if status != HTTPStatus.OK and status not in _REFUSALS:
        return f"status {status}"
    if headers.get("Content-Type", "").partition(";")[0].strip().lower() != _JSON:
        return f"status {status} that is no JSON"
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):
        return f"status {status} with a body that cannot be read"
    if not isinstance(envelope, dict):
        return f"status {status} without the envelope"
    if status == HTTPStatus.OK:
        return None if "data" in envelope else "status 200 without the envelope"
    error = envelope.get("error")
    if not isinstance(error, dict) or error.get("code") != _REFUSALS[HTTPStatus(status)]:
        return f"status {status} without the envelope"
    return None


def _chosen(headers: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}
