"""A merchant's audit trail, as its owners read it."""

from typing import ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from authn.serializers import AuditEventQuery
from fluxiq.audit.models import AuditEvent
from fluxiq.audit.serializers import AuditEventSerializer
from fluxiq.errors import NotFound
from fluxiq.http import TOKEN_ONLY
from fluxiq.schema import MOMENT, PAGE, paged
from fluxiq.scopes import Reserved
from fluxiq.views import ApiView
from merchants.models import require


class AuditEventListView(ApiView):
    """What happened at a merchant."""

    tag = "Merchants"
    kinds = TOKEN_ONLY
    required_permissions: ClassVar = {"GET": Reserved.AUDIT_READ}

    @extend_schema(
        operation_id="listAuditEvents",
        summary="List audit events",
        description="What happened at a merchant, newest first. `before` and `after` hold the"
        " changed fields alone. Of FluxiQ's own staff and commands, no address, user agent or"
        " name is shown.",
        parameters=[
            *PAGE,
            OpenApiParameter("kind", str, description="Such as `api_key.issued`."),
            OpenApiParameter("from", MOMENT, description="Events of that moment and later."),
            OpenApiParameter("to", MOMENT, description="Events before that moment."),
        ],
        responses={200: paged(AuditEventSerializer), 404: NotFound},
    )
    def get(self, request: Request, merchant_id: str) -> Response:
        require(self.principal, Reserved.AUDIT_READ, merchant_id)
        query = AuditEventQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        rows = AuditEvent.objects.filter(merchant_id=merchant_id)
        if "kind" in asked:
            rows = rows.filter(kind=asked["kind"])
        if "from" in asked:
            rows = rows.since(asked["from"])
        if "to" in asked:
            rows = rows.until(asked["to"])
        return self.page(rows, AuditEventSerializer)
