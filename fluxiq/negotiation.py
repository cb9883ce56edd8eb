"""Which renderer and which parser serve a request."""

from collections.abc import Iterable
from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

ANYTHING, JSON = "*/*", "application/json"


class ExactNegotiation(DefaultContentNegotiation):
    """As DRF's, but a body has one type: DRF would take `*/*` for JSON."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The renderer and its media type. Raises NotAcceptable."""
        accept = request._request.META.get("HTTP_ACCEPT", ANYTHING)
        if accept in (ANYTHING, JSON):  # what all but browsers send: nothing to weigh
            first = next(iter(renderers))
            return first, first.media_type
        found: tuple[BaseRenderer, str] = super().select_renderer(request, renderers, format_suffix)
        return found

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> Any:
        """The parser of that media type, or None, which is a 415."""
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((p for p in parsers if p.media_type == media_type), None)
