"""The OpenAPI document: what drf-spectacular cannot read off the views.

A view names each operation, its body and its answers:

    @extend_schema(
        operation_id="inviteUser",
        summary="Invite a person",
        request=MemberInvitation,
        responses={201: enveloped(MemberSerializer, "The new member."), 409: Conflict},
    )

and its `tag`. What is the same everywhere is added here: credentials, limit headers, the errors
that follow from what the view declares, what each field means, and the examples, which are put
together from those of the fields. An answer may be one of our errors, as a class, or as an
instance where its message is its own.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import deep_import_string
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework import serializers
from rest_framework.views import APIView

from fluxiq import errors
from fluxiq.http import ANY_KIND, Credential
from fluxiq.limits import Usage
from fluxiq.pagination import Cursor
from fluxiq.principals import Kind
from fluxiq.schema_fields import CHALLENGE, EXAMPLES, FIELDS, REQUEST_ID, Schema, field, ref
from fluxiq.scopes import DESCRIPTIONS, Reserved, Role, Scope, ServiceScope
from fluxiq.serializers import StrictSerializer
from fluxiq.views import ApiView

Serializer = Any  # a class of DRF's; to mypy, classes cannot be hashed

ACCESS_TOKEN, API_KEY = "accessToken", "apiKey"


# --- What an operation says ---------------------------------------------------------------------

PAGE = [
    OpenApiParameter(
        Cursor.page_size_query_param,
        {
            "type": "integer",
            "minimum": 1,
            "maximum": Cursor.max_page_size,
            "default": Cursor.page_size,
        },
        description="Rows a page.",
    ),
    OpenApiParameter(
        Cursor.cursor_query_param, str, description="As `meta.next` and `meta.previous` hold it."
    ),
]
OF_MERCHANT = OpenApiParameter("merchant_id", str, description="Only those of this merchant.")


def enveloped(serializer: Serializer, description: str) -> OpenApiResponse:
    """`{"data": …}` around what a serializer shows."""
    return OpenApiResponse(_envelope(serializer), description=description)


def paged(serializer: Serializer) -> OpenApiResponse:
    """A page of what a serializer shows."""
    return OpenApiResponse(_page(serializer), description="One page, newest first.")


def empty(description: str) -> OpenApiResponse:
    """`{"data": {}}`: the status, or a header, says it all."""
    return OpenApiResponse(ref("Empty"), description=description)


def extended(serializer: Serializer, name: str, **fields: Any) -> Serializer:
    """What a serializer shows, and `fields` that are shown this once; a component of that name."""
    return type(name, (serializer,), fields)


def _name(serializer: type[Any]) -> str:
    return serializer.__name__.removesuffix("Serializer")


class PageMeta(serializers.Serializer[Any]):
    """Where a list goes on."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


# Cached, since drf-spectacular takes two classes of one name for a mistake.
@cache
def _envelope(serializer: Serializer) -> Any:
    return inline_serializer(f"{_name(serializer)}Response", {"data": serializer()})


@cache
def _page(serializer: Serializer) -> Any:
    fields = {"data": serializer(many=True), "meta": PageMeta()}
    return inline_serializer(f"{_name(serializer)}Page", fields)


# --- Errors and headers -------------------------------------------------------------------------

# On every answer.
_COMMON_HEADERS: dict[str, Schema] = {
    "X-RateLimit-Limit": field("Requests that the bucket admits in a window.", 1000),
    "X-RateLimit-Remaining": field("Requests left in this window.", 997),
    "X-RateLimit-Reset": field("Unix time of the next window's first second.", 1706961600),
    "RateLimit-Policy": field("The same, as the IETF draft writes it.", '"api_key";q=1000;w=60'),
    "RateLimit": field("The same, as the IETF draft writes it.", '"api_key";r=997;t=30'),
    "X-Request-ID": field("Names this request in our log.", REQUEST_ID),
}
_HEADERS: dict[str, Schema] = {
    **_COMMON_HEADERS,
    "Retry-After": field("Seconds to wait.", 30),
    "WWW-Authenticate": field("RFC 6750.", "Bearer"),
}

_FULL = Usage("api_key", limit=1000, count=1001, window=30, reset=2**40)  # 30 s whatever the clock

# Each as it is shown; 405 is answered where there is no operation.
_ERRORS: tuple[errors.ApiError, ...] = (
    errors.ValidationFailed({"permisions": ["Unknown field."]}),
    errors.Unauthorized(),
    errors.Forbidden(Scope.PIX_WRITE),
    errors.MfaRequired(CHALLENGE, 300),
    errors.NotFound(),
    errors.NotAcceptable(),
    errors.Conflict(),
    errors.PayloadTooLarge(),
    errors.UnsupportedMediaType(),
    errors.RateLimited(_FULL),
    errors.InternalError(REQUEST_ID),
    errors.ServiceUnavailable(REQUEST_ID),
)


def _error_schema(error: errors.ApiError) -> Schema:
    fields = {
        "code": {**ref("ErrorCode"), "const": error.code},
        "message": {"type": "string", "description": "For people; may change."},
        **{
            name: FIELDS.get(f"{type(error).__name__}.{name}", FIELDS[name]) for name in error.extra
        },
    }
    return _object(error=_object(**fields))


def _error_response(error: errors.ApiError) -> Schema:
    return {
        "description": error.message,
        "headers": _header_refs(*_COMMON_HEADERS, *error.headers()),
        "content": {
            "application/json": {"schema": ref(_body_name(error)), "example": error.body()}
        },
    }


def _body_name(error: errors.ApiError) -> str:
    return f"{type(error).__name__}Body"


def _header_refs(*names: str) -> Schema:
    return {name: ref(name, "headers") for name in names}


def _header(said: Schema) -> Schema:
    kind = "integer" if isinstance(said["examples"][0], int) else "string"
    return {
        "description": said["description"],
        "schema": {"type": kind, "examples": said["examples"]},
    }


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


class EnvelopeSchema(AutoSchema):
    """drf-spectacular's reading of a view, and what follows from what our views declare.

    Not derived, and so for the view to say: 404 for what a query or a body names, 403 for what
    no permission tells, 409, and the 401 of a view that reads no Authorization header.
    """

    view: ApiView  # type: ignore[override]  # every view of ours is one

    def get_tags(self) -> list[str]:
        return [getattr(self.view, "tag", "")]

    def get_auth(self) -> list[dict[str, list[str]]]:
        """Which credentials serve, each with the permission that it must hold.

        A client sends one of them, in the same header.
        """
        credential = self.view.credential
        if credential in (Credential.IN_BODY, Credential.IGNORED):
            return []
        permission = self.view.required_permissions[self.method]
        needed = [str(permission)] if permission is not None else []
        serve = [ACCESS_TOKEN] if Kind.USER in self.view.kinds else []
        if Kind.API_KEY in self.view.kinds and credential is not Credential.EVEN_EXPIRED:
            serve.append(API_KEY)
        accepted: list[dict[str, list[str]]] = [{name: needed} for name in serve]
        return [{}, *accepted] if credential is Credential.OPTIONAL else accepted

    def get_operation(self, *args: Any, **kwargs: Any) -> Schema | None:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        permission = self.view.required_permissions[self.method]
        if permission is not None:
            operation["description"] += f"\n\nRequires `{permission}`."
        for parameter in operation.get("parameters", ()):
            said = {**FIELDS.get(parameter["name"], {})}
            parameter.setdefault("description", said.pop("description", ""))
            parameter["schema"] = {**parameter["schema"], **said}
        responses = operation["responses"]
        for error in self._errors(operation):
            responses.setdefault(str(error.status_code), ref(error.__name__, "responses"))
        for response in responses.values():
            if "$ref" not in response:
                response.setdefault("headers", {}).update(_header_refs(*_COMMON_HEADERS))
        operation["responses"] = dict(sorted(responses.items()))
        return operation

    def _errors(self, operation: Schema) -> Iterator[type[errors.ApiError]]:
        """The errors that the operation can answer, as far as it can be told from here."""
        view = self.view
        places = {parameter["in"] for parameter in operation.get("parameters", ())}
        if "requestBody" in operation:
            yield from (
                errors.ValidationFailed,
                errors.PayloadTooLarge,
                errors.UnsupportedMediaType,
            )
        if "query" in places:
            yield errors.ValidationFailed
        if view.credential not in (Credential.OPTIONAL, Credential.IGNORED):
            yield errors.Unauthorized
        if (
            view.required_permissions[self.method] is not None
            or view.kinds != ANY_KIND
            or view.credential is Credential.EVEN_EXPIRED
        ):
            yield errors.Forbidden
        if "path" in places:
            yield errors.NotFound
        if type(view).perform_content_negotiation is APIView.perform_content_negotiation:
            yield errors.NotAcceptable
        yield from (errors.RateLimited, errors.InternalError, errors.ServiceUnavailable)

    def _get_response_for_code(
        self, serializer: Any, status_code: str, *args: Any, **kwargs: Any
    ) -> Schema:
        if isinstance(serializer, errors.ApiError):
            return _error_response(serializer)
        if isinstance(serializer, type) and issubclass(serializer, errors.ApiError):
            return ref(serializer.__name__, "responses")
        schema: Schema = super()._get_response_for_code(  # type: ignore[no-untyped-call]
            serializer, status_code, *args, **kwargs
        )
        return schema

    def _get_request_body(self, direction: Any = "request") -> Schema | None:
        """As drf-spectacular's, which knows no body of a DELETE (RFC 9110, section 9.3.5, has one
        where the server asks for it)."""
        method = self.method
        if method == "DELETE" and self.view.delete_has_body:
            self.method = "POST"
        try:
            body: Schema | None = super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        finally:
            self.method = method
        return body

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Schema:
        """The schema of a body, with what is said of each field."""
        schema: Schema = super()._map_basic_serializer(  # type: ignore[no-untyped-call]
            serializer, direction
        )
        names = [_name(cls) for cls in type(serializer).__mro__]
        for member, found in schema["properties"].items():
            keys = (*(f"{name}.{member}" for name in names), member)
            said = next((FIELDS[key] for key in keys if key in FIELDS), {})
            replaces = {"$ref", "anyOf"} & said.keys()
            schema["properties"][member] = {**({} if replaces else found), **said}
        if isinstance(serializer, StrictSerializer):
            schema["additionalProperties"] = False
            for name, member in serializer.fields.items():
                if isinstance(member, serializers.CharField) and not member.allow_blank:
                    schema["properties"][name].setdefault("minLength", 1)
        return schema


# --- The document as a whole --------------------------------------------------------------------


def _choices(values: Iterable[str], described: Mapping[Any, str] | None = None) -> Schema:
    schema: Schema = {"type": "string", "enum": [str(value) for value in values]}
    if described is not None:
        schema["description"] = "\n".join(f"* `{v}`: {text}" for v, text in described.items())
    return schema


def _statuses() -> dict[str, Schema]:
    """The states of what has one. Named and not imported: the ground floor imports no app."""
    places = {
        "AccountStatus": "merchants.models.PaymentAccount.Status",
        "MembershipStatus": "merchants.models.Membership.Status",
        "MerchantStatus": "merchants.models.Merchant.Status",
    }
    return {name: _choices(deep_import_string(place)) for name, place in places.items()}


def _components() -> dict[str, Schema]:
    codes = (*(error.code for error in _ERRORS), errors.MethodNotAllowed.code)
    return {
        "schemas": {
            "Scope": _choices(Scope, DESCRIPTIONS),
            "Permission": _choices((*Scope, *Reserved, *ServiceScope)),
            "Role": _choices(Role),
            "CallerKind": _choices(Kind),
            **_statuses(),
            "Empty": _object(data={"type": "object", "maxProperties": 0}),
            "ErrorCode": _choices(sorted(codes)),
            **{_body_name(error): _error_schema(error) for error in _ERRORS},
        },
        "responses": {type(error).__name__: _error_response(error) for error in _ERRORS},
        "headers": {name: _header(said) for name, said in _HEADERS.items()},
        "securitySchemes": {
            ACCESS_TOKEN: {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "The access token of a sign-in, good for 15 minutes.",
            },
            API_KEY: {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "sk_live_…",
                "description": "A merchant's API key, good until it expires or is revoked.",
            },
        },
    }


def _sample(schema: Schema, schemas: Mapping[str, Schema]) -> Any:
    """A value of the schema, put together from the examples of its parts.

    Of a body that we read, what is required; where nothing is, all that it may hold.
    """
    if "examples" in schema:
        return schema["examples"][0]
    if "$ref" in schema:
        return _sample(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "items" in schema:
        return [_sample(schema["items"], schemas)]
    if "properties" in schema:
        properties = schema["properties"]
        is_read = schema.get("additionalProperties") is False
        names = (schema.get("required") if is_read else None) or properties
        return {name: _sample(properties[name], schemas) for name in names}
    return {}


def _bodies(result: Schema) -> Iterator[Schema]:
    """Every media type object of the operations."""
    for item in result["paths"].values():
        for operation in item.values():
            holders = [operation.get("requestBody", {}), *operation["responses"].values()]
            for holder in holders:
                yield from holder.get("content", {}).values()


INTRODUCTION = """\
Who may call the FluxiQ payment gateway, and what they may do there.

## Credentials

One credential, in `Authorization: Bearer …`:

* an **API key** (`sk_live_…`), for a merchant's servers: it acts for its merchant alone, with the
  permissions listed on it, until it expires or is revoked;
* an **access token**, for a person: of `POST /api/v1/auth/login`, good for 15 minutes and renewed
  with the refresh token for as long as the session goes on.

The permission that an operation requires stands in its description. A person holds those of
their role at each merchant: an owner `*`, a manager `accounts:*`, `transactions:read` and `pix:*`,
an operator `accounts:read`, `transactions:read` and `pix:write`.

## Answers

Success is `{"data": …}`. A list is `{"data": […], "meta": {"next": …, "previous": …}}`, newest
first: follow the URLs in `meta`. Times are UTC. Money is a decimal string with two places. Unknown
fields in a body are refused, so that no misspelling is dropped.

An error is `{"error": {"code": …, "message": …}}`, also for an unknown path (404) and for a method
that a path does not have (405). What belongs to others is 404, as if it did not exist.

## Rate limits

A minute admits 1,000 requests of an API key, 100 of a user and 10 of an address without a
credential, unless the deployment says otherwise. Every answer, errors too, carries these headers:

* `X-RateLimit-Limit`: the requests that a window admits;
* `X-RateLimit-Remaining`: those that are left in it;
* `X-RateLimit-Reset`: the Unix time of the next window's first second, when requests are admitted
  again.

`RateLimit-Policy` and `RateLimit` say the same as the IETF draft writes it. One request too many is
429; wait as many seconds as `Retry-After` says.

## Trying it

On the page at `/api/v1/docs`, **Authorize** takes an API key, or the `access_token` that a sign-in
answers with. Given both, it sends the key where a key serves and the token elsewhere. What is typed
there goes to this host alone, and is gone when the page is.
"""


def complete(result: Schema, **kwargs: Any) -> Schema:
    """drf-spectacular's postprocessing hook: the introduction, shared components, examples."""
    result["info"]["description"] = INTRODUCTION
    for kind, members in _components().items():
        found = result["components"].setdefault(kind, {})
        result["components"][kind] = dict(sorted({**found, **members}.items()))
    schemas = result["components"]["schemas"]
    for body in _bodies(result):
        name = body["schema"].get("$ref", "").rpartition("/")[2]
        if name in EXAMPLES:
            body["examples"] = {k: {"value": value} for k, value in EXAMPLES[name].items()}
        elif "example" not in body and "examples" not in body:
            body["example"] = _sample(body["schema"], schemas)
    return result
