"""Django views whose callers are asked about: the settings, the question, a decorator.

Settings: `FLUXIQ_AUTH_URL` is where the authentication service is; `FLUXIQ_AUTH_TIMEOUT`
(seconds, 2 by default) is how long a question may take.
"""

import inspect
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from authn.client.answers import Grant, Refused
from authn.client.verifier import TIMEOUT_SECONDS, Verifier

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


@lru_cache(maxsize=8)
def _verifier(url: str, timeout: float) -> Verifier:
    return Verifier(url, timeout=timeout)


def verifier() -> Verifier:
    """The verifier of the settings in force. Raises ImproperlyConfigured where they name none."""
    url = getattr(settings, "FLUXIQ_AUTH_URL", None)
    if not url:
        raise ImproperlyConfigured("FLUXIQ_AUTH_URL names no authentication service")
    try:
        return _verifier(url, getattr(settings, "FLUXIQ_AUTH_TIMEOUT", TIMEOUT_SECONDS))
    except ValueError as error:
        raise ImproperlyConfigured(f"FLUXIQ_AUTH_URL: {error}") from error


def verify(
    request: HttpRequest, permissions: tuple[str, ...], merchant_id: str | None = None
) -> Grant:
    """The grant of this request, with its address and id passed on. Raises Refused."""
    meta = request.META
    return verifier().verify(
        meta.get("HTTP_AUTHORIZATION"),
        permissions,
        merchant_id=merchant_id,
        peer=meta.get("REMOTE_ADDR", ""),
        forwarded_for=meta.get("HTTP_X_FORWARDED_FOR", ""),
        request_id=meta.get("HTTP_X_REQUEST_ID", ""),
    )


def answer(refused: Refused) -> HttpResponse:
    """The refusal as a response: its status, body and headers as they stand."""
    return HttpResponse(refused.body, status=refused.status, headers=dict(refused.headers))


def require(*permissions: str) -> Callable[[View], View]:
    """Guard a view: all permissions must be held, at the `merchant_id` of the URL if it has one.

    The view finds the Grant at `request.fluxiq`; with no permission named, the caller is only
    authenticated. Whoever is refused gets the documented error, and never reaches the view.
    Raises TypeError for an async view: it would wait for the answer with the event loop held.
    """

    def decorate(view: View) -> View:
        if inspect.iscoroutinefunction(view):
            raise TypeError("require() guards sync views; in an async one, use AsyncVerifier")

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                grant = verify(request, permissions, kwargs.get("merchant_id"))
            except Refused as refused:
                return answer(refused)
            request.fluxiq = grant  # type: ignore[attr-defined]
            response = view(request, *args, **kwargs)
            for name, value in grant.headers.items():
                response.headers[name] = value
            return response

        return guarded  # type: ignore[return-value]

    return decorate
