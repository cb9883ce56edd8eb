"""The whole map.

A trap for readers: `/api/v1/accounts` serves payment accounts (`merchants.PaymentAccount`); the
Django app `accounts/` holds the people, who are members at `/api/v1/users`.
"""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, path
from django.views.generic import RedirectView
from django.views.i18n import set_language

from authn import urls as authn_urls
from authn.views.jwks import jwks
from authn.views.recovery import reset_page
from fluxiq import health
from fluxiq.docs import DocsView, SchemaView
from fluxiq.metrics import endpoint
from merchants import urls as merchants_urls

API = "api/v1/"

api: list[URLPattern] = [
    *authn_urls.urlpatterns,
    *merchants_urls.urlpatterns,
    path("openapi.json", SchemaView.as_view(), name="schema"),
    path("docs", DocsView.as_view(), name="docs"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    # One list, the most asked for first: an include would cost each request a match of its own.
    *(path(f"{API}{route.pattern}", route.callback, name=route.name) for route in api),
    path("", RedirectView.as_view(url="/api/v1/docs")),
    path(".well-known/jwks.json", jwks),
    path("reset-password", reset_page),
    path("healthz", health.live),
    path("readyz", health.ready),
    path("metrics", endpoint.view),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/language/", set_language, name="set_language"),
    path("admin/", admin.site.urls),
]

handler400 = "fluxiq.error_handlers.handler400"
handler403 = "fluxiq.error_handlers.handler403"
handler404 = "fluxiq.error_handlers.handler404"
handler500 = "fluxiq.error_handlers.handler500"
