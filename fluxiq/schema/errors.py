"""The errors and the headers as the document shows them, each once, for every operation to name."""

from fluxiq import errors
from fluxiq.limits import Usage
from fluxiq.schema.fields import CHALLENGE, FIELDS, REQUEST_ID, Schema, field, ref
from fluxiq.scopes import Scope

# On every answer.
COMMON_HEADERS: dict[str, Schema] = {
    "X-RateLimit-Limit": field("Requests that the bucket admits in a window.", 1000),
    "X-RateLimit-Remaining": field("Requests left in this window.", 997),
    "X-RateLimit-Reset": field("Unix time of the next window's first second.", 1706961600),
    "RateLimit-Policy": field("The same, as the IETF draft writes it.", '"api_key";q=1000;w=60'),
    "RateLimit": field("The same, as the IETF draft writes it.", '"api_key";r=997;t=30'),
    "X-Request-ID": field("Names this request in our log.", REQUEST_ID),
}
HEADERS: dict[str, Schema] = {
    **COMMON_HEADERS,
    "Retry-After": field("Seconds to wait.", 30),
    "WWW-Authenticate": field("RFC 6750.", "Bearer"),
}

_FULL = Usage("api_key", limit=1000, count=1001, window=30, reset=2**40)  # 30 s whatever the clock

# Each as it is shown; 405 is answered where there is no operation.
ERRORS: tuple[errors.ApiError, ...] = (
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


def error_schema(error: errors.ApiError) -> Schema:
    """The body of an error."""
    fields = {
        "code": {**ref("ErrorCode"), "const": error.code},
        "message": {"type": "string", "description": "For people; may change."},
        **{
            name: FIELDS.get(f"{type(error).__name__}.{name}", FIELDS[name]) for name in error.extra
        },
    }
    return object_of(error=object_of(**fields))


def error_response(error: errors.ApiError) -> Schema:
    """The answer that an error is, with its headers and the body as an example."""
    return {
        "description": error.message,
        "headers": header_refs(*COMMON_HEADERS, *error.headers()),
        "content": {"application/json": {"schema": ref(body_name(error)), "example": error.body()}},
    }


def body_name(error: errors.ApiError) -> str:
    """The name of the component that an error's body is."""
    return f"{type(error).__name__}Body"


def header_refs(*names: str) -> Schema:
    """The headers of an answer, by their names."""
    return {name: ref(name, "headers") for name in names}


def header(said: Schema) -> Schema:
    """The component that a header is."""
    kind = "integer" if isinstance(said["examples"][0], int) else "string"
    return {
        "description": said["description"],
        "schema": {"type": kind, "examples": said["examples"]},
    }


def object_of(**properties: Schema) -> Schema:
    """An object that has all of these."""
    return {"type": "object", "required": list(properties), "properties": properties}
