"""Cursor pages: `{"data": […], "meta": {"next", "previous"}}`, newest first."""

import re
from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from fluxiq import ids
from fluxiq.errors import ValidationFailed

_NUMBER = re.compile(r"[0-9]{1,4}")


class Cursor(CursorPagination):
    """Pages by id, which orders by creation. `?limit=` from 1 to 100."""

    ordering = "-id"
    page_size = 25
    max_page_size = 100
    page_size_query_param = "limit"
    cursor_query_param = "cursor"

    def get_page_size(self, request: Request) -> int:
        """Rows a page. Raises ValidationFailed for a limit that is no number from 1 to 100."""
        given = request.query_params.get(self.page_size_query_param)
        if given is None:
            return self.page_size
        if _NUMBER.fullmatch(given) is None or not 1 <= int(given) <= self.max_page_size:
            raise ValidationFailed({"limit": [f"Must be a number from 1 to {self.max_page_size}."]})
        return int(given)

    def decode_cursor(self, request: Request) -> Any:
        """The position that a cursor names. Raises ValidationFailed for one we did not make."""
        try:
            cursor = super().decode_cursor(request)
        except NotFound as error:
            raise ValidationFailed({"cursor": ["Invalid cursor."]}) from error
        if cursor is not None and not ids.is_any(str(cursor.position)):
            raise ValidationFailed({"cursor": ["Invalid cursor."]})
        return cursor

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "data": data,
                "meta": {"next": self.get_next_link(), "previous": self.get_previous_link()},
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        url = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["data", "meta"],
            "properties": {
                "data": schema,
                "meta": {
                    "type": "object",
                    "required": ["next", "previous"],
                    "properties": {"next": url, "previous": url},
                },
            },
        }
