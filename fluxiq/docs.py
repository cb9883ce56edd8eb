"""The OpenAPI document, and a page to try it: both public, both without the internet."""

from functools import cache
from typing import ClassVar

from django.http import HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.utils import OpenApiResponse, extend_schema
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
def document() -> bytes:
    """The OpenAPI document as `manage.py spectacular --format openapi-json` writes it.

    Made once per process: it changes with the code alone.
    """
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    schema = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    rendered: bytes = OpenApiJsonRenderer().render(schema, renderer_context={})
    return rendered


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
        responses={
            200: OpenApiResponse(
                {"type": "object", "examples": [{"openapi": "3.1.0"}]},
                description="This document, OpenAPI 3.1.",
            )
        },
    )
    def get(self, request: Request) -> HttpResponse:
        headers = {"Cache-Control": "public, max-age=300"}
        return HttpResponse(document(), content_type="application/json", headers=headers)


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
