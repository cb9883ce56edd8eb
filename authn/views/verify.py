"""May this call pass? The question that gateways ask for every other service."""

from typing import Any, ClassVar

from rest_framework.response import Response

from fluxiq import ids
from fluxiq.errors import Forbidden, ValidationFailed
from fluxiq.principals import Principal
from fluxiq.scopes import ALL, grants, is_known
from fluxiq.views import ApiView
from merchants.models import Merchant


def judge(principal: Principal, permissions: list[str], merchant_id: str | None) -> list[str]:
    """The merchants where the caller holds every one of these permissions; `*` is all of them.

    Raises Forbidden naming the first permission missing, or none where the merchant is unknown
    or foreign and nothing was asked for.
    """
    first = permissions[0] if permissions else None
    if principal.is_superuser:
        if merchant_id is None:
            return [ALL]
        known = ids.is_valid(ids.Prefix.MERCHANT, merchant_id)
        if not known or not Merchant.objects.filter(pk=merchant_id).exists():
            raise Forbidden(first)
        return [merchant_id]
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


class VerifyView(ApiView):
    """200 with the `X-Auth-*` headers, or the refusal that the gateway passes on."""

    def check(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        permissions = request.query_params.getlist("permission")
        unknown = [p for p in permissions if not is_known(p)]
        if unknown:
            raise ValidationFailed({"permission": [f"{p!r} is no permission." for p in unknown]})
        merchants = judge(self.principal, permissions, request.query_params.get("merchant_id"))
        concrete = [m for m in merchants if m != ALL]
        headers = {
            "X-Auth-Kind": self.principal.kind.value,
            "X-Auth-Subject": self.principal.id,
            "X-Auth-Merchants": ",".join(merchants),
            "X-Auth-Permissions": " ".join(self.principal.held_at_every(concrete)),
        }
        return Response({"data": {}}, headers=headers)

    get = post = put = patch = delete = options = trace = check
    http_method_not_allowed = check  # a method that HTTP may yet be given is asked about alike
    required_permissions: ClassVar = dict.fromkeys(
        ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
    )
