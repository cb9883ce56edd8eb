"""May this call pass? The question that gateways ask for every other service."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

from django.http import HttpResponse, QueryDict
from drf_spectacular.utils import OpenApiParameter, extend_schema

from fluxiq import ids
from fluxiq.errors import Forbidden, ValidationFailed
from fluxiq.http import set_headers
from fluxiq.principals import Kind, Principal
from fluxiq.schema import empty
from fluxiq.scopes import ALL, grants, is_known
from fluxiq.views import ApiView, SoleRepresentation
from merchants.models import Merchant

# What a gateway passes on to the service behind it.
AUTH_HEADERS = {
    "X-Auth-Kind": "`api_key` or `user`.",
    "X-Auth-Subject": "`key_…` or `usr_…`.",
    "X-Auth-Merchants": "Comma-separated: the merchants where every permission asked for is held;"
    " `*` for platform staff.",
    "X-Auth-Permissions": "Space-separated, wildcards expanded: what is held at every one of them.",
}

PARAMETERS = frozenset({"permission", "merchant_id"})
UNKNOWN_PARAMETER = "Unknown parameter."
TOKENS = frozenset({"access_token", "token"})
QUERY_TOKEN = "Send it in the Authorization header: URLs are logged."  # noqa: S105 - a message


@lru_cache(maxsize=1024)
def read_question(query: str) -> tuple[tuple[str, ...], str | None]:
    """The permissions and the merchant that a query asks about; the same few come all the time.

    Raises ValidationFailed, also for a parameter that is not read: a misspelt `permision` would
    admit every caller, and a token belongs into the header; and TooManyFieldsSent as Django does.
    """
    parameters = QueryDict(query.encode("iso-8859-1"))  # as WSGI has it
    unread = parameters.keys() - PARAMETERS
    if unread:
        raise ValidationFailed(
            {name: [QUERY_TOKEN if name in TOKENS else UNKNOWN_PARAMETER] for name in unread}
        )
    permissions = tuple(parameters.getlist("permission"))
    unknown = [p for p in permissions if not is_known(p)]
    if unknown:
        raise ValidationFailed({"permission": [f"{p!r} is no permission." for p in unknown]})
    merchant_ids = parameters.getlist("merchant_id")
    if len(merchant_ids) > 1:
        raise ValidationFailed({"merchant_id": ["Ask about one merchant at a time."]})
    return permissions, next(iter(merchant_ids), None)


def judge(principal: Principal, permissions: Sequence[str], merchant_id: str | None) -> list[str]:
    """The merchants where the caller holds every one of these permissions; `*` is all of them.

    Raises Forbidden naming the first permission missing, or none where the merchant is unknown
    or foreign and nothing was asked for.
    """
    first = permissions[0] if permissions else None
    if principal.is_superuser:
        known = merchant_id is None or ids.is_valid(ids.Prefix.MERCHANT, merchant_id)
        if not known or (merchant_id and not Merchant.objects.filter(pk=merchant_id).exists()):
            raise Forbidden(first)
        where = merchant_id or ALL
        missing = principal.first_missing(permissions, where)
        if missing is not None:
            raise Forbidden(missing)
        return [where]
    held = principal.merchants_with(())
    if merchant_id is not None:
        held = [m for m in held if m == merchant_id]
        if not held:
            raise Forbidden(first)
    for permission in permissions:
        if permission in principal.service_permissions:
            continue
        held = [m for m in held if grants(principal.permissions_at(m), permission)]
        if not held:
            raise Forbidden(permission)
    return held


_KINDS = {kind: kind.value for kind in Kind}
NOTHING = b'{"data":{}}'  # what is asked is answered by the headers


class VerifyView(SoleRepresentation, ApiView):
    """200 with the `X-Auth-*` headers, or the refusal that the gateway passes on."""

    tag = "For gateways"
    reads_body = False

    @extend_schema(methods=["POST", "PUT", "PATCH", "DELETE"], exclude=True)
    @extend_schema(
        methods=["GET"],
        operation_id="verify",
        summary="Ask whether a call may pass",
        description="Sends on the caller's Authorization header, and names what the call needs;"
        " without `permission` it only authenticates. Parameters that are not listed here are"
        " refused. Every method is answered alike, OPTIONS too,"
        " so that a gateway may pass its own on. The request counts to the caller.",
        parameters=[
            OpenApiParameter(
                "permission",
                {"type": "array", "items": {"$ref": "#/components/schemas/Permission"}},
                explode=True,
                description="May repeat: all must be held. Of several missing, the first is named.",
            ),
            OpenApiParameter(
                "merchant_id",
                str,
                description="Where. Without it: at one merchant or more. Unknown or foreign: 403.",
            ),
            *(
                OpenApiParameter(name, str, "header", response=[200], description=text)
                for name, text in AUTH_HEADERS.items()
            ),
        ],
        responses={200: empty("The call may pass."), 403: Forbidden},
    )
    def check(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        principal = self.principal
        permissions, merchant_id = read_question(request._request.META.get("QUERY_STRING", ""))
        merchants = judge(principal, permissions, merchant_id)
        concrete = [m for m in merchants if m != ALL]
        response = HttpResponse(NOTHING, content_type="application/json")
        set_headers(
            response,
            {
                "X-Auth-Kind": _KINDS[principal.kind],
                "X-Auth-Subject": principal.id,
                "X-Auth-Merchants": ",".join(merchants),
                "X-Auth-Permissions": " ".join(principal.held_at_every(concrete)),
            },
        )
        return response

    http_method_names = [*ApiView.http_method_names, "options", "trace"]
    get = post = put = patch = delete = options = trace = check
    http_method_not_allowed = check  # a method that HTTP may yet be given is asked about alike
    required_permissions: ClassVar = dict.fromkeys(
        ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
    )
