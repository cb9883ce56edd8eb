"""What was refused, for the audit trail: counted by the minute, so that nobody can flood it."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from rest_framework.response import Response

from accounts.models import User
from fluxiq import errors
from fluxiq.audit import tallies
from fluxiq.audit.models import Kind
from fluxiq.errors import Forbidden, RateLimited, Unauthorized
from fluxiq.principals import Principal


@contextmanager
def of_sign_in(document: str) -> Iterator[None]:
    """Count a block that tries a secret of this document, where it is refused or throttled.

    A stranger chooses documents freely: those that nobody has here count together.
    """
    try:
        yield
    except Unauthorized:
        _count_sign_in(Kind.SIGN_IN_FAILED, document)
        raise
    except RateLimited:
        _count_sign_in(Kind.SIGN_IN_THROTTLED, document)
        raise


def _count_sign_in(kind: Kind, document: str) -> None:
    user = User.objects.for_document(document)
    tallies.count(kind, object_id=user.id if user is not None else "")


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER: the API's answer; a permission that was refused is counted."""
    response = errors.drf_exception_handler(exc, context)
    if response is not None and response.status_code == HTTPStatus.FORBIDDEN:
        principal = context["request"].auth
        if isinstance(principal, Principal):
            tallies.count(
                Kind.PERMISSION_REFUSED,
                actor=(principal.kind, principal.id),
                merchant_id=_merchant(exc, principal, context),
                detail=response.data["error"].get("required_permission") or "",
            )
    return response


def _merchant(exc: Exception, principal: Principal, context: dict[str, Any]) -> str:
    """The merchant at which it was refused, among the caller's own; empty where none is known."""
    named = exc.merchant_id if isinstance(exc, Forbidden) else ""
    named = named or context["kwargs"].get("merchant_id", "")
    named = named or context["request"].query_params.get("merchant_id", "")
    if named and not principal.is_superuser and principal.belongs_to(named):
        return str(named)
    return principal.grants[0].merchant_id if len(principal.grants) == 1 else ""
