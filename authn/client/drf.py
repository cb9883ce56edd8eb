"""Django REST framework: an authentication class that asks, a permission class that holds it.

    class PixView(APIView):
        authentication_classes = [VerifyAuthentication]
        permission_classes = [DeclaredPermissions]
        required_permissions = {"GET": ["pix:read"], "POST": ["pix:write"]}

`required_permissions` maps each method to what it needs, or is one list for all of them; all that
is listed must be held. An empty list says that being authenticated is enough; a view, or a
method, that declares nothing is refused. Where the URL has a `merchant_id`, it is judged there; a
view may say otherwise by `merchant_id_of(request)`. `request.auth` is then the Grant, and
`request.user` the caller.

The authentication class asks once, for permission and identity together, so that the answer, and
the refusal, is the authentication service's own: status, envelope and headers.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from authn.client import answers
from authn.client.answers import Grant, Refused
from authn.client.django import verify


@dataclass(frozen=True, slots=True)
class Caller:
    """`request.user`: who calls. It is no row of the service's own user table."""

    pk: str
    kind: str
    is_authenticated: bool = True
    is_anonymous: bool = False
    is_active: bool = True

    def __str__(self) -> str:
        return self.pk


class RefusedByFluxiq(APIException):
    """A refusal, for DRF to answer as it stands."""

    def __init__(self, refused: Refused) -> None:
        self.status_code = refused.status
        self.detail = refused.envelope
        # What DRF's own exception handler reads, were there no view to carry the headers.
        self.auth_header = refused.headers.get("WWW-Authenticate")
        retry_after = refused.headers.get("Retry-After", "")
        self.wait = int(retry_after) if re.fullmatch(r"[0-9]{1,9}", retry_after) else None


def declared(view: Any, method: str | None) -> tuple[str, ...] | None:
    """What the view declares for this method, or None where it declares nothing."""
    stated = getattr(view, "required_permissions", None)
    if isinstance(stated, Mapping):
        stated = stated.get("GET" if method == "HEAD" else method)
    if stated is None:
        return None
    return (stated,) if isinstance(stated, str) else tuple(stated)


def _merchant_of(view: Any, request: Request) -> str | None:
    if hasattr(view, "merchant_id_of"):
        named: str | None = view.merchant_id_of(request)
        return named
    in_url: str | None = view.kwargs.get("merchant_id")
    return in_url


def _carry(view: Any, headers: Mapping[str, str]) -> None:
    """Have DRF write these on whatever it answers: it renders the body, and names its type."""
    carried = {k: v for k, v in headers.items() if k != "Content-Type"}
    view.headers = {**view.headers, **carried}


class VerifyAuthentication(BaseAuthentication):
    """Asks the authentication service about the call, with what its view declares."""

    def authenticate(self, request: Request) -> tuple[Caller, Grant]:
        """The caller and the Grant. Raises RefusedByFluxiq, without a credential too."""
        view = request.parser_context["view"]
        try:
            grant = self.judge(request, view, declared(view, request.method) or ())
        except Refused as refused:
            _carry(view, refused.headers)
            raise RefusedByFluxiq(refused) from refused
        _carry(view, grant.headers)
        return Caller(grant.subject, grant.kind), grant

    def judge(self, request: Request, view: Any, permissions: tuple[str, ...]) -> Grant:
        """The grant of the call. Raises Refused."""
        return verify(request._request, permissions, _merchant_of(view, request))

    def authenticate_header(self, request: Request) -> str:
        """Defined, so that no credential means 401 and not 403."""
        return "Bearer"


class GatewayAuthentication(VerifyAuthentication):
    """Believes the `X-Auth-*` headers of a gateway, which has asked already.

    Only of a gateway: the peer must be in `FLUXIQ_GATEWAYS` (CIDRs); from any other the call is
    401. The gateway must itself write these headers, whatever a client sends.
    """

    def judge(self, request: Request, view: Any, permissions: tuple[str, ...]) -> Grant:
        """The grant that the gateway passes on. Raises Refused."""
        meta = request.META
        grant = Grant(
            kind=meta.get("HTTP_X_AUTH_KIND", ""),
            subject=meta.get("HTTP_X_AUTH_SUBJECT", ""),
            merchants=tuple(filter(None, meta.get("HTTP_X_AUTH_MERCHANTS", "").split(","))),
            permissions=frozenset(meta.get("HTTP_X_AUTH_PERMISSIONS", "").split()),
        )
        if not grant.subject or not _is_gateway(meta.get("REMOTE_ADDR", "")):
            raise answers.unauthorized()
        missing = next((p for p in permissions if p not in grant.permissions), None)
        if missing is not None:
            raise answers.forbidden(missing)
        merchant_id = _merchant_of(view, request)
        if merchant_id is not None and not grant.holds_at(merchant_id):
            raise answers.forbidden(permissions[0] if permissions else None)
        return grant


class DeclaredPermissions(BasePermission):
    """Holds a view to what it declares, and refuses one that declares nothing."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the caller was granted all of it. Raises RefusedByFluxiq where not."""
        method = str(request.method)
        if not hasattr(view, method.lower()):
            return True  # DRF answers 405 next
        needed = declared(view, method)
        if needed is None:
            raise RefusedByFluxiq(answers.forbidden(None))
        if not isinstance(request.auth, Grant):
            raise RefusedByFluxiq(answers.unauthorized())
        missing = next((p for p in needed if p not in request.auth.permissions), None)
        if missing is not None:
            raise RefusedByFluxiq(answers.forbidden(missing))
        return True


def _is_gateway(peer: str) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    return any(address in network for network in _networks(tuple(_gateways())))


def _gateways() -> Iterable[str]:
    gateways: Iterable[str] = getattr(settings, "FLUXIQ_GATEWAYS", ())
    if isinstance(gateways, str):
        raise ImproperlyConfigured("FLUXIQ_GATEWAYS is a list of CIDRs")
    return gateways


@lru_cache(maxsize=8)
def _networks(cidrs: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(cidr) for cidr in cidrs)
    except ValueError as error:
        raise ImproperlyConfigured(f"FLUXIQ_GATEWAYS: {error}") from error
