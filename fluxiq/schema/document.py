"""The document as a whole: its introduction, its shared components, its examples."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from drf_spectacular.plumbing import deep_import_string

from fluxiq import errors
from fluxiq.principals import Kind
from fluxiq.schema.errors import (
    ERRORS,
    HEADERS,
    body_name,
    error_response,
    error_schema,
    header,
    object_of,
)
from fluxiq.schema.fields import EXAMPLES, Schema
from fluxiq.schema.operations import ACCESS_TOKEN, API_KEY
from fluxiq.scopes import DESCRIPTIONS, Reserved, Role, Scope, ServiceScope


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
    codes = (*(error.code for error in ERRORS), errors.MethodNotAllowed.code)
    return {
        "schemas": {
            "Scope": _choices(Scope, DESCRIPTIONS),
            "Permission": _choices((*Scope, *Reserved, *ServiceScope)),
            "Role": _choices(Role),
            "CallerKind": _choices(Kind),
            **_statuses(),
            "Empty": object_of(data={"type": "object", "maxProperties": 0}),
            "ErrorCode": _choices(sorted(codes)),
            **{body_name(error): error_schema(error) for error in ERRORS},
        },
        "responses": {type(error).__name__: error_response(error) for error in ERRORS},
        "headers": {name: header(said) for name, said in HEADERS.items()},
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
