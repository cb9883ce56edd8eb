"""May this caller use this view? DRF's permission class for the whole API."""

from collections.abc import Mapping
from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from fluxiq.http import Credential
from fluxiq.principals import Principal


class DeclaredPermission(BasePermission):
    """Holds a view to what it declares; one that declares nothing is refused.

    Where the path names an object, its permission is judged at the merchant that owns it (the
    view asks there: a stranger's object is a 404, which this class could not know).
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        method = str(request._request.method)
        method = "GET" if method == "HEAD" else method
        if method.lower() not in view.http_method_names or not hasattr(view, method.lower()):
            return True  # DRF answers 405 next
        if method not in getattr(view, "required_permissions", {}):
            return False
        if getattr(view, "credential", Credential.REQUIRED) is not Credential.REQUIRED:
            return True
        principal = request.auth
        if not isinstance(principal, Principal) or principal.kind not in view.kinds:
            return False
        permission = view.required_permission
        if permission is None or view.kwargs or principal.holds_anywhere(permission):
            return True
        return _names_merchant(request)


def _names_merchant(request: Request) -> bool:
    """Whether the call is about one merchant, where the view judges it: a stranger's is a 404."""
    named = request.query_params if request.method in ("GET", "HEAD") else request.data
    return isinstance(named, Mapping) and "merchant_id" in named
