"""What a view of the API declares of itself, and what the middleware leaves on a request.

Kept apart from the views: DRF reads its default classes while its views are still loading.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from fluxiq.limits import Usage
from fluxiq.principals import Kind

if TYPE_CHECKING:
    from rest_framework.request import Request


class Credential(StrEnum):
    """Where a view's credential is, and so in whose bucket its requests count."""

    REQUIRED = "required"  # the Authorization header
    OPTIONAL = "optional"  # the header where it verifies; public otherwise
    EVEN_EXPIRED = "even_expired"  # the header; an authentic access token of any age serves
    IN_BODY = "in_body"  # the body; the view counts it once it is verified
    IGNORED = "ignored"  # none: secrets are tried here, so the address counts whoever asks


# What of a browser's powers no page of ours has a use for.
PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"

ANY_KIND = frozenset(Kind)
TOKEN_ONLY = frozenset({Kind.USER})


class ApiHttpRequest(HttpRequest):
    """A request as it stands behind our middleware. A type alone: none is ever made."""

    address: str
    request_id: str
    gate: Any
    limit_usage: Usage


def set_headers(response: HttpResponseBase, headers: Mapping[str, str]) -> None:
    """Set headers whose names and values are of our own making, on one line and in ASCII.

    Django would look each of them over for what a client may have put in, at a twentieth of what
    a request costs.
    """
    store = response.headers._store
    for name, value in headers.items():
        store[name.lower()] = (name, value)


Stored = dict[str, tuple[str, str]]  # as Django keeps headers, by their name in lower case


def stored(headers: Mapping[str, str]) -> Stored:
    """These headers, made ready once for `set_missing_headers`."""
    return {name.lower(): (name, value) for name, value in headers.items()}


def set_missing_headers(response: HttpResponseBase, headers: Stored) -> None:
    """As `set_headers`, but for those that the response has already."""
    response.headers._store = headers | response.headers._store


def django_request(request: "Request") -> ApiHttpRequest:
    """The request below DRF's wrapper: what is set on the wrapper, the middleware cannot see."""
    inner: ApiHttpRequest = request._request  # type: ignore[assignment]
    return inner
