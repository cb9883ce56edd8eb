"""Which parser reads a body, by what the client says it is."""

from collections.abc import Iterable
from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.request import Request


class ExactNegotiation(DefaultContentNegotiation):
    """As DRF's, but a body has one type: DRF would take `*/*` for JSON."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> Any:
        """The parser of that media type, or None, which is a 415."""
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((p for p in parsers if p.media_type == media_type), None)
