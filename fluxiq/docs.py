"""The OpenAPI document, and a page to try it: both public, both without the internet."""

from functools import cache
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import translation
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request

from fluxiq.http import Credential
from fluxiq.views import ApiView, SoleRepresentation

# Swagger UI writes styles into its elements; its script and all else come from us alone.
DOCS_POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'self'; img-src 'self' data:;"
    " style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)


@cache
def document(language: str = settings.LANGUAGE_CODE) -> bytes:
    """The OpenAPI document, with its operations and groups named in one of LANGUAGES.

    In English it is what `manage.py spectacular --format openapi-json` writes. Made once per
    process: it changes with the code alone.
    """
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    schema = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    with translation.override(language):
        _translate_names(schema)
    rendered: bytes = OpenApiJsonRenderer().render(schema, renderer_context={})
    return rendered


def _translate_names(schema: dict[str, Any]) -> None:
    """Put summaries and groups into the language in force. (What describes them stays English.)"""
    for operations in schema["paths"].values():
        for operation in operations.values():
            operation["summary"] = translation.gettext(operation["summary"])
            operation["tags"] = [translation.gettext(tag) for tag in operation["tags"]]
    schema["tags"] = [
        {field: translation.gettext(text) for field, text in tag.items()} for tag in schema["tags"]
    ]


class PublicPage(SoleRepresentation, ApiView):
    """What anyone may read, whatever they accept."""

    credential = Credential.OPTIONAL
    required_permissions: ClassVar = {"GET": None}
    tag = "Documentation"


class SchemaView(PublicPage):
    """This document."""

    @extend_schema(
        operation_id="getOpenApi",
        summary="Read the OpenAPI document",
        description="Operations and groups are named in Portuguese where `Accept-Language` asks.",
        parameters=[
            OpenApiParameter(
                "Accept-Language", str, OpenApiParameter.HEADER, description="`en` or `pt-BR`."
            )
        ],
        responses={
            200: OpenApiResponse(
                {"type": "object", "examples": [{"openapi": "3.1.0"}]},
                description="This document, OpenAPI 3.1.",
            )
        },
    )
    def get(self, request: Request) -> HttpResponse:
        language = translation.get_language_from_request(request._request)
        headers = {
            "Cache-Control": "public, max-age=300",
            "Content-Language": language,
            "Vary": "Accept-Language",
        }
        return HttpResponse(document(language), content_type="application/json", headers=headers)


class DocsView(PublicPage):
    """Swagger UI on our document, from our own static files."""

    @extend_schema(
        operation_id="getDocs",
        summary="Open a page to try the API",
        responses={
            (200, "text/html"): OpenApiResponse(
                {"type": "string", "examples": ["<!DOCTYPE html>"]}, description="The page."
            )
        },
    )
    def get(self, request: Request) -> HttpResponse:
        response = render(request._request, "fluxiq/docs.html")
        response.headers["Content-Security-Policy"] = DOCS_POLICY
        return response
