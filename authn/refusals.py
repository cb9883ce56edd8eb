"""What was refused, for the audit trail: counted by the minute, so that nobody can flood it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from rest_framework.response import Response

from accounts.models import User
from fluxiq import error_handlers, metrics
from fluxiq.audit import tallies
from fluxiq.audit.models import Kind
from fluxiq.errors import Forbidden, RateLimited, Unauthorized
from fluxiq.metrics.families import SIGN_INS
from fluxiq.principals import Principal


@contextmanager
def of_sign_in(document: str) -> Iterator[None]:
    """Count a block that tries a secret of this document, where it is refused or throttled.

    A stranger chooses documents freely: those that nobody has here count together.
    """

    def user_id() -> str:
        user = User.objects.for_document(document)
        return user.id if user is not None else ""

    with _counted(user_id):
        yield


@contextmanager
def of_second_factor(user_id: str) -> Iterator[None]:
    """Count a block that tries a code of this user, where it is refused or throttled."""
    with _counted(lambda: user_id):
        yield


@contextmanager
def _counted(user_id: Callable[[], str]) -> Iterator[None]:
    try:
        yield
    except Unauthorized:
        tallies.count(Kind.SIGN_IN_FAILED, object_id=user_id())
        raise
    except RateLimited:
        metrics.add(SIGN_INS, "throttled")
        tallies.count(Kind.SIGN_IN_THROTTLED, object_id=user_id())
        raise


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER: the API's answer; a permission that was refused is counted."""
    response = error_handlers.drf_exception_handler(exc, context)
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
