"""What a view says of an operation's query and of its answers."""

from functools import cache
from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework import serializers

from fluxiq.pagination import Cursor
from fluxiq.schema.fields import Schema, ref

Serializer = Any  # a class of DRF's; to mypy, classes cannot be hashed

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
MOMENT: Schema = {"type": "string", "format": "date-time"}
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


def component_name(serializer: type[Any]) -> str:
    """The name of the component that a serializer becomes."""
    return serializer.__name__.removesuffix("Serializer")


class PageMeta(serializers.Serializer[Any]):
    """Where a list goes on."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


# Cached, since drf-spectacular takes two classes of one name for a mistake.
@cache
def _envelope(serializer: Serializer) -> Any:
    return inline_serializer(f"{component_name(serializer)}Response", {"data": serializer()})


@cache
def _page(serializer: Serializer) -> Any:
    fields = {"data": serializer(many=True), "meta": PageMeta()}
    return inline_serializer(f"{component_name(serializer)}Page", fields)
