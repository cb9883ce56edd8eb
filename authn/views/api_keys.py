"""Managing a merchant's API keys, with an access token alone: keys never manage keys."""

from datetime import timedelta
from http import HTTPStatus
from typing import ClassVar

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from authn.authentication import user_of
from authn.models import ApiKey
from authn.serializers import ApiKeyChange, ApiKeyCreation, ApiKeyRotation, ApiKeySerializer
from fluxiq import ids
from fluxiq.errors import Conflict, NotFound, ValidationFailed
from fluxiq.http import TOKEN_ONLY
from fluxiq.schema import PAGE, enveloped, extended, paged
from fluxiq.scopes import Reserved
from fluxiq.views import ApiView, data, no_content
from merchants.acting import acting_at
from merchants.models import forbid_granting_beyond, require

MAX_IDEMPOTENCY_KEY = 255
ALREADY_SHOWN = (
    "This call was answered before, and its secret was shown once. Rotate this successor for a"
    " fresh secret."
)

IssuedApiKey = extended(ApiKeySerializer, "IssuedApiKey", key=serializers.CharField())
RepeatedRotation = extended(
    ApiKeySerializer,
    "RepeatedRotation",
    key=serializers.CharField(allow_null=True),
    message=serializers.CharField(),
)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="A name of your own for this call, 1 to 255 characters, such as a UUID.",
)


class ApiKeyListView(ApiView):
    """The keys of a merchant, and issuing one."""

    tag = "API keys"
    kinds = TOKEN_ONLY
    required_permissions: ClassVar = {
        "GET": Reserved.API_KEYS_READ,
        "POST": Reserved.API_KEYS_WRITE,
    }

    @extend_schema(
        operation_id="listApiKeys",
        summary="List API keys",
        description="The keys of a merchant, those that are no longer in force too.",
        parameters=PAGE,
        responses={200: paged(ApiKeySerializer)},
    )
    def get(self, request: Request, merchant_id: str) -> Response:
        require(self.principal, Reserved.API_KEYS_READ, merchant_id)
        rows = ApiKey.objects.filter(merchant_id=merchant_id).select_related("successor")
        return self.page(rows, ApiKeySerializer)

    @extend_schema(
        operation_id="issueApiKey",
        summary="Issue an API key",
        description="The full key is shown in this answer alone: store it securely. Permissions"
        " are listed one by one, and can be only those that you hold at that merchant.",
        request=ApiKeyCreation,
        responses={201: enveloped(IssuedApiKey, "The key, with its secret: shown this once.")},
    )
    def post(self, request: Request, merchant_id: str) -> Response:
        caller = self.principal
        require(caller, Reserved.API_KEYS_WRITE, merchant_id)
        body = self.read(ApiKeyCreation)
        with acting_at(merchant_id, caller, Reserved.API_KEYS_WRITE) as (merchant, principal):
            forbid_granting_beyond(principal, merchant_id, body["permissions"])
            api_key, secret = ApiKey.objects.issue(merchant, created_by=user_of(request), **body)
        return data(ApiKeySerializer, api_key, HTTPStatus.CREATED, key=secret)


class ApiKeyDetail(ApiView):
    """What the views of one key share."""

    tag = "API keys"
    kinds = TOKEN_ONLY

    def api_key(self, merchant_id: str, key_id: str) -> ApiKey:
        """The key. Raises NotFound or Forbidden as it is judged at its merchant."""
        if not ids.is_valid(ids.Prefix.MERCHANT, merchant_id):
            raise NotFound
        rows = (
            ApiKey.objects.at_merchants_of(self.principal)
            .filter(merchant_id=merchant_id)
            .select_related("merchant", "successor")
        )
        return self.judged(rows, ids.Prefix.API_KEY, key_id)


class ApiKeyView(ApiKeyDetail):
    """One key: shown, changed, revoked."""

    required_permissions: ClassVar = {
        "GET": Reserved.API_KEYS_READ,
        "PATCH": Reserved.API_KEYS_WRITE,
        "DELETE": Reserved.API_KEYS_WRITE,
    }

    @extend_schema(
        operation_id="getApiKey",
        summary="Get an API key",
        responses={200: enveloped(ApiKeySerializer, "The key, without its secret.")},
    )
    def get(self, request: Request, merchant_id: str, key_id: str) -> Response:
        return data(ApiKeySerializer, self.api_key(merchant_id, key_id))

    @extend_schema(
        operation_id="updateApiKey",
        summary="Change an API key",
        description="What is left out stays as it is. It holds at the key's next request.",
        request=ApiKeyChange,
        responses={
            200: enveloped(ApiKeySerializer, "The key as it is now."),
            409: Conflict("This key is no longer in force and cannot be changed"),
        },
    )
    def patch(self, request: Request, merchant_id: str, key_id: str) -> Response:
        api_key = self.api_key(merchant_id, key_id)
        body = self.read(ApiKeyChange)
        with acting_at(merchant_id, self.principal, Reserved.API_KEYS_WRITE) as (_, principal):
            forbid_granting_beyond(principal, merchant_id, body.get("permissions", ()))
            api_key.change(body)
        return data(ApiKeySerializer, api_key)

    @extend_schema(
        operation_id="revokeApiKey",
        summary="Revoke an API key",
        description="It is refused at its next request. Revoking twice is 204 too.",
        responses={204: OpenApiResponse(description="The key is dead.")},
    )
    def delete(self, request: Request, merchant_id: str, key_id: str) -> Response:
        api_key = self.api_key(merchant_id, key_id)
        with acting_at(merchant_id, self.principal, Reserved.API_KEYS_WRITE):
            api_key.revoke("revoked by a member")
        return no_content()


class ApiKeyRotateView(ApiKeyDetail):
    """Make a key's successor; the old key goes on for its grace."""

    required_permissions: ClassVar = {"POST": Reserved.API_KEYS_WRITE}

    @extend_schema(
        operation_id="rotateApiKey",
        summary="Rotate an API key",
        description="Makes a successor with the same name, permissions and limits. The old key"
        " goes on for `grace_seconds` and is then dead. Send an `Idempotency-Key` to be safe"
        " against a lost answer: the same call again answers 200 with the same successor, without"
        " its secret, which was shown once; rotate the successor for a fresh one.",
        parameters=[IDEMPOTENCY_KEY],
        request=ApiKeyRotation,
        responses={
            200: enveloped(RepeatedRotation, "The successor made before; its secret is gone."),
            201: enveloped(IssuedApiKey, "The successor, with its secret: shown this once."),
            409: Conflict("This key is no longer in force or was rotated already"),
        },
    )
    def post(self, request: Request, merchant_id: str, key_id: str) -> Response:
        api_key = self.api_key(merchant_id, key_id)
        grace = timedelta(seconds=self.read(ApiKeyRotation)["grace_seconds"])
        call = idempotency_key(request)
        with acting_at(merchant_id, self.principal, Reserved.API_KEYS_WRITE) as (_, principal):
            forbid_granting_beyond(principal, merchant_id, api_key.permissions)
            successor, secret = api_key.rotate(grace, user_of(request), call)
        if secret is None:
            return data(ApiKeySerializer, successor, key=None, message=ALREADY_SHOWN)
        return data(ApiKeySerializer, successor, HTTPStatus.CREATED, key=secret)


def idempotency_key(request: Request) -> str:
    """How the call names itself, or nothing. Raises ValidationFailed for an unfit name."""
    name = request.headers.get("Idempotency-Key", "")
    if len(name) > MAX_IDEMPOTENCY_KEY or not (name.isascii() and name.isprintable()):
        raise ValidationFailed({"Idempotency-Key": ["Takes 1 to 255 printable ASCII characters."]})
    return name
