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
from fluxiq.ids import Prefix
from fluxiq.limits import Usage
from fluxiq.pagination import Cursor
from fluxiq.principals import Kind
from fluxiq.scopes import DESCRIPTIONS, Reserved, Role, Scope, ServiceScope
from fluxiq.serializers import StrictSerializer
from fluxiq.views import ApiView

Schema = dict[str, Any]  # a JSON object: a schema, or a part of the document
Serializer = Any  # a class of DRF's; to mypy, classes cannot be hashed

ACCESS_TOKEN, API_KEY = "accessToken", "apiKey"


def _ref(name: str, kind: str = "schemas") -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}


# --- Fields: what each means, wherever it stands ------------------------------------------------

_ULID = "01KGHNZCG0SDM7RCDMT5NQ63DC"  # of the moment that the examples show
_NOON = "2026-02-03T12:00:00Z"
_REQUEST_ID = "req_0f3a9c7be1d24860a1b2c3d4"
_INVITATION = "inv_7Fq0ZkP2vRkMbqYx3nWc8dTgLs5hUeJa"
_PERMISSIONS = ["accounts:read", "pix:write", "transfers:write"]


def _field(description: str, *examples: Any, **keywords: Any) -> Schema:
    return {"description": description, **keywords, "examples": list(examples)}


def _id(prefix: Prefix, description: str, *, example: str | None = "") -> Schema:
    shown = f"{prefix}_{_ULID}" if example == "" else example
    return _field(description, shown, pattern=f"^{prefix}_[0-9A-Z]{{26}}$")


def _enum(description: str, example: str, name: str) -> Schema:
    return {**_field(description, example), **_ref(name)}


def _each(field: str, components: Iterable[str], said: Schema) -> dict[str, Schema]:
    return {f"{component}.{field}": said for component in components}


_KEY_BODIES = ("ApiKey", "ApiKeyCreation", "ApiKeyChange")
_ACCOUNT_BODIES = ("Account", "AccountCreation", "AccountChange")
_MEMBER_BODIES = ("Member", "MemberInvitation", "MemberChange")

# By `field`, or by `Component.field` where a component has its own; without its own, a component
# that extends another has the other's.
FIELDS: dict[str, Schema] = {
    "merchant_id": _id(Prefix.MERCHANT, "The merchant."),
    "merchant_name": _field("The merchant's name.", "Padaria Aurora"),
    "account_id": _id(Prefix.ACCOUNT, "The account."),
    "key_id": _id(Prefix.API_KEY, "The key."),
    "membership_id": _id(Prefix.MEMBERSHIP, "The membership: a person at one merchant."),
    "session_id": _id(Prefix.SESSION, "The session."),
    "user_id": _id(Prefix.USER, "The person; null while invited."),
    "created_at": _field("When it was made.", _NOON),
    "document": _field("A CPF or CNPJ, punctuated or bare.", "12345678901"),
    "password": _field("Taken exactly as typed, spaces too.", "your-password"),
    "invitation": _field("Single use, good for 7 days.", _INVITATION),
    # Tokens
    "access_token": _field("For the Authorization header.", "eyJhbGciOiJIUzI1NiIs..."),
    "refresh_token": _field("For POST /auth/refresh, once.", "eyJhbGciOiJIUzI1NiIs..."),
    "token_type": _field("The scheme.", "Bearer"),
    "expires_in": _field("Seconds that the access token is good for.", 900),
    "token": _field("An API key, an access token or a refresh token.", "eyJhbGciOiJIUzI1NiIs..."),
    "token_type_hint": _field("Taken for the RFC's sake, and ignored.", "access_token"),
    "current_password": _field("The password until now.", "your-password"),
    "InvitationAcceptance.password": _field(
        "A new one, or the one that you have.", "your-password", minLength=12
    ),
    "new_password": _field("Not one of the common ones.", "a better password", minLength=12),
    # The caller
    "Caller.id": _field("`usr_…` or `key_…`.", f"usr_{_ULID}"),
    "Caller.kind": _enum("What kind of caller.", "user", "CallerKind"),
    "Caller.name": _field("The person's or the key's.", "Olga Souza"),
    "memberships": {"description": "One for each merchant; a key has one."},
    "Grant.role": {
        **_field("The person's role there; null for a key.", "manager"),
        "anyOf": [_ref("Role"), {"type": "null"}],
    },
    "Grant.permissions": _field("As granted, wildcards kept.", ["accounts:*", "pix:*"]),
    # Sessions
    "Session.id": _id(Prefix.SESSION, "The session."),
    "Session.created_at": _field("When the person signed in.", _NOON),
    "Session.last_used_at": _field("When it was last refreshed.", _NOON),
    "Session.expires_at": _field("When it ends unless refreshed.", "2026-02-10T12:00:00Z"),
    "Session.address": _field("Where the person signed in from.", "203.0.113.7"),
    "Session.user_agent": _field("With what.", "Mozilla/5.0 (X11; Linux x86_64)"),
    "Session.current": _field("Whether this very call belongs to it.", True),
    # API keys
    "ApiKey.id": _id(Prefix.API_KEY, "The key."),
    **_each("name", _KEY_BODIES, _field("What its people call it.", "Production Key")),
    "ApiKey.hint": _field("Tells keys apart without the secret.", "sk_live_…i789"),
    **_each(
        "permissions",
        _KEY_BODIES,
        _field("What it may do.", _PERMISSIONS, items=_ref("Scope"), minItems=1, uniqueItems=True),
    ),
    "ApiKey.created_by": _id(Prefix.USER, "Who issued it."),
    **_each("expires_at", _KEY_BODIES, _field("When it dies by itself; null: never.", None)),
    "ApiKey.last_used_at": _field("Right to a minute; null: never used.", None),
    "ApiKey.revoked_at": _field("When it was, or will be, revoked.", None),
    **_each(
        "allowed_ips",
        _KEY_BODIES,
        _field("CIDRs that it serves from; none: from anywhere.", ["203.0.113.0/24"]),
    ),
    "ApiKey.rate_limit": _field("Requests a minute, where staff set its own.", None),
    "ApiKey.rotated_from": _id(Prefix.API_KEY, "The key it succeeded.", example=None),
    "ApiKey.rotated_to": _id(Prefix.API_KEY, "The key that succeeded it.", example=None),
    "IssuedApiKey.key": _field("The secret. Shown this once.", "sk_live_abc123def456ghi789"),
    "grace_seconds": _field("How long the old key goes on.", 86400),
    # Merchants and accounts
    "Merchant.id": _id(Prefix.MERCHANT, "The merchant."),
    "Merchant.name": _field("Its name.", "Padaria Aurora"),
    "Merchant.document": _field("Its CNPJ or CPF, masked.", "**.345.678/0001-**"),
    "Merchant.status": _enum(
        "A suspended merchant's keys are refused.", "active", "MerchantStatus"
    ),
    "Account.id": _id(Prefix.ACCOUNT, "The account."),
    **_each("name", _ACCOUNT_BODIES, _field("What its people call it.", "Main account")),
    "Account.branch": _field("The branch.", "0001"),
    "Account.number": _field("Number and check digit.", "12345678-9"),
    **_each(
        "status",
        ("Account", "AccountChange"),
        _enum("A closed account stays closed.", "active", "AccountStatus"),
    ),
    "Account.currency": _field("ISO 4217.", "BRL"),
    "Account.balance": _field(
        "A decimal string with two places.", "1520.75", pattern=r"^-?\d+\.\d{2}$"
    ),
    # Members
    "Member.id": _id(Prefix.MEMBERSHIP, "The membership."),
    **_each("name", _MEMBER_BODIES, _field("The person's name at this merchant.", "Otto Lima")),
    "Member.document": _field("The person's CPF or CNPJ, masked.", "***.456.789-**"),
    "Member.status": _enum(
        "Only an active membership grants anything.", "active", "MembershipStatus"
    ),
    "InvitedMember.user_id": _id(Prefix.USER, "Null while invited.", example=None),
    "InvitedMember.status": _enum(
        "Nothing is granted until it is accepted.", "invited", "MembershipStatus"
    ),
    "InvitedMember.invitation": _field(
        "For POST /auth/invitations/accept. Shown this once.",
        _INVITATION,
    ),
    "MemberChange.status": _field("Inactive grants nothing and can be undone.", "inactive"),
    "email": _field("Where to mail the invitation.", "otto@example.com"),
    "role": _enum("What the person may do there.", "operator", "Role"),
    # Introspection (RFC 7662)
    "Introspection.active": _field("False alone for anything dead or unknown.", True),
    "Introspection.sub": _field("`usr_…` or `key_…`.", f"usr_{_ULID}"),
    "Introspection.scope": _field(
        "Space-separated: what is held at every one of its merchants.", "accounts:read pix:write"
    ),
    "Introspection.iat": _field("Unix time of issue.", 1770120000),
    "Introspection.exp": _field("Unix time of expiry; absent where there is none.", 1770120900),
    "Introspection.kind": _enum("What kind of caller.", "user", "CallerKind"),
    "Introspection.merchant_ids": _field(
        "Where it may act; `*` alone for platform staff.", [f"mer_{_ULID}"]
    ),
    # Pages and errors
    "next": _field("The next page; null on the last.", None),
    "previous": _field("The page before; null on the first.", None),
    "details": _field(
        "Messages by field; `body` for the whole.",
        {"permisions": ["Unknown field."]},
        type="object",
        additionalProperties={"type": "array", "items": {"type": "string"}},
    ),
    "required_permission": _field(
        "What the caller lacks; null where there is none to name.",
        "pix:write",
        type=["string", "null"],
    ),
    "retry_after": _field("Seconds, as in `Retry-After`.", 30, type="integer", minimum=1),
    "request_id": _field("Names this request in our log.", _REQUEST_ID, type=["string", "null"]),
}

# Where one example would not tell the whole; by component. All others are put together. The first
# of a PATCH is what the page to try it sends by itself: let it do no harm.
EXAMPLES: dict[str, dict[str, Any]] = {
    "AccountChange": {"rename": {"name": "Main account"}, "block": {"status": "blocked"}},
    "ApiKeyChange": {
        "rename": {"name": "Production Key"},
        "narrow": {"permissions": ["accounts:read"]},
        "bind": {"allowed_ips": ["203.0.113.0/24"]},
    },
    "MemberChange": {
        "rename": {"name": "Otto Lima"},
        "promote": {"role": "manager"},
        "shut_out": {"status": "inactive"},
    },
    "CallerResponse": {
        "user": {
            "data": {
                "kind": "user",
                "id": f"usr_{_ULID}",
                "name": "Olga Souza",
                "memberships": [
                    {
                        "merchant_id": f"mer_{_ULID}",
                        "merchant_name": "Padaria Aurora",
                        "role": "owner",
                        "permissions": ["*"],
                    }
                ],
            }
        },
        "api_key": {
            "data": {
                "kind": "api_key",
                "id": f"key_{_ULID}",
                "name": "Production Key",
                "memberships": [
                    {
                        "merchant_id": f"mer_{_ULID}",
                        "merchant_name": "Padaria Aurora",
                        "role": None,
                        "permissions": _PERMISSIONS,
                    }
                ],
            }
        },
    },
    "Introspection": {
        "active": {
            "active": True,
            "sub": f"usr_{_ULID}",
            "scope": "accounts:read transactions:read pix:write",
            "token_type": "Bearer",
            "iat": 1770120000,
            "exp": 1770120900,
            "kind": "user",
            "merchant_ids": [f"mer_{_ULID}"],
        },
        "inactive": {"active": False},
    },
}


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
    return OpenApiResponse(_ref("Empty"), description=description)


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
    "X-RateLimit-Limit": _field("Requests that the bucket admits in a window.", 1000),
    "X-RateLimit-Remaining": _field("Requests left in this window.", 997),
    "X-RateLimit-Reset": _field("Unix time of the next window's first second.", 1706961600),
    "RateLimit-Policy": _field("The same, as the IETF draft writes it.", '"api_key";q=1000;w=60'),
    "RateLimit": _field("The same, as the IETF draft writes it.", '"api_key";r=997;t=30'),
    "X-Request-ID": _field("Names this request in our log.", _REQUEST_ID),
}
_HEADERS: dict[str, Schema] = {
    **_COMMON_HEADERS,
    "Retry-After": _field("Seconds to wait.", 30),
    "WWW-Authenticate": _field("RFC 6750.", "Bearer"),
}

_FULL = Usage("api_key", limit=1000, count=1001, window=30, reset=2**40)  # 30 s whatever the clock

# Each as it is shown; 405 is answered where there is no operation.
_ERRORS: tuple[errors.ApiError, ...] = (
    errors.ValidationFailed({"permisions": ["Unknown field."]}),
    errors.Unauthorized(),
    errors.Forbidden(Scope.PIX_WRITE),
    errors.NotFound(),
    errors.NotAcceptable(),
    errors.Conflict(),
    errors.PayloadTooLarge(),
    errors.UnsupportedMediaType(),
    errors.RateLimited(_FULL),
    errors.InternalError(_REQUEST_ID),
    errors.ServiceUnavailable(_REQUEST_ID),
)


def _error_schema(error: errors.ApiError) -> Schema:
    fields = {
        "code": {**_ref("ErrorCode"), "const": error.code},
        "message": {"type": "string", "description": "For people; may change."},
        **{name: FIELDS[name] for name in error.extra},
    }
    return _object(error=_object(**fields))


def _error_response(error: errors.ApiError) -> Schema:
    return {
        "description": error.message,
        "headers": _header_refs(*_COMMON_HEADERS, *error.headers()),
        "content": {
            "application/json": {"schema": _ref(_body_name(error)), "example": error.body()}
        },
    }


def _body_name(error: errors.ApiError) -> str:
    return f"{type(error).__name__}Body"


def _header_refs(*names: str) -> Schema:
    return {name: _ref(name, "headers") for name in names}


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
            responses.setdefault(str(error.status_code), _ref(error.__name__, "responses"))
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
            return _ref(serializer.__name__, "responses")
        schema: Schema = super()._get_response_for_code(  # type: ignore[no-untyped-call]
            serializer, status_code, *args, **kwargs
        )
        return schema

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Schema:
        """The schema of a body, with what is said of each field."""
        schema: Schema = super()._map_basic_serializer(  # type: ignore[no-untyped-call]
            serializer, direction
        )
        names = [_name(cls) for cls in type(serializer).__mro__]
        for field, found in schema["properties"].items():
            keys = (*(f"{name}.{field}" for name in names), field)
            said = next((FIELDS[key] for key in keys if key in FIELDS), {})
            replaces = {"$ref", "anyOf"} & said.keys()
            schema["properties"][field] = {**({} if replaces else found), **said}
        if isinstance(serializer, StrictSerializer):
            schema["additionalProperties"] = False
            for name, field in serializer.fields.items():
                if isinstance(field, serializers.CharField) and not field.allow_blank:
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
credential, unless the deployment says otherwise. Every answer carries `X-RateLimit-Limit`,
`X-RateLimit-Remaining` and `X-RateLimit-Reset`; one too many is 429 with `Retry-After`.
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
