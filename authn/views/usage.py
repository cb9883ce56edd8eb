"""How much an API key is used."""

from typing import ClassVar

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from authn.serializers import ApiKeyUsageSerializer, UsagePeriod
from authn.views.api_keys import ApiKeyDetail
from fluxiq.schema import MOMENT, paged
from fluxiq.scopes import Reserved


class ApiKeyUsageView(ApiKeyDetail):
    """The requests of one key, by the hour."""

    required_permissions: ClassVar = {"GET": Reserved.API_KEYS_READ}

    @extend_schema(
        operation_id="getApiKeyUsage",
        summary="Count an API key's requests",
        description="By the hour (UTC), oldest first; only hours in which there were any. The"
        " last minute's may be missing.",
        parameters=[OpenApiParameter("from", MOMENT), OpenApiParameter("to", MOMENT)],
        responses={
            200: OpenApiResponse(
                paged(ApiKeyUsageSerializer).response, description="All of them, on one page."
            )
        },
    )
    def get(self, request: Request, merchant_id: str, key_id: str) -> Response:
        api_key = self.api_key(merchant_id, key_id)
        period = UsagePeriod(data=request.query_params.dict())
        period.is_valid(raise_exception=True)
        hours = api_key.usage.between(**period.validated_data)
        shown = ApiKeyUsageSerializer(hours, many=True).data
        return Response({"data": shown, "meta": {"next": None, "previous": None}})
