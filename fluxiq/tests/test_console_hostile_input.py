"""What no browser sends to the staff console: each address, parameter, field and cookie of it."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import quote as admin_quote
from django.db import transaction
from django.test import RequestFactory
from django.urls import URLPattern, URLResolver, reverse

from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import issue_key

# As they stand in an address, where NUL and what is no UTF-8 can be written.
HOSTILE = {
    "NUL": "%00",
    "NUL within": "a%00b",
    "a lone surrogate": "%ED%A0%80",
    "no UTF-8": "%ff%fe",
    "10,000 characters": "x" * 10_000,
    "40 digits": "9" * 40,
    "5,000 digits": "9" * 5_000,
    "a negative number": "-1",
    "no date": "2026-13-45",
    "no pattern": "(%5B",
    "nothing": "",
}
OFTEN = ("NUL within", "a lone surrogate", "40 digits")  # the others as well in `make prove`
# Of every list, beside its filters; and what Django reads alike for all, asked of one list.
OF_LISTS = ("q", "o", "p")
OF_ONE_LIST = (
    "e", "all", "pk", "id", "_changelist_filters", "_to_field", "_popup", "_facets",
    "_source_model", "nothing__such",
)  # fmt: skip
LOOKUPS = ("exact", "in", "isnull", "regex", "range", "gte", "year", "contains")


def _models() -> Iterator[tuple[Any, str]]:
    """Each registered admin, and the address of its list."""
    for model in apps.get_models():
        if admin.site.is_registered(model):
            options = model._meta
            url = reverse(f"admin:{options.app_label}_{options.model_name}_changelist")
            yield admin.site.get_model_admin(model), url


def _filters(model_admin: Any) -> Iterator[str]:
    """The parameters of a list's filters, and of links to it."""
    for each in model_admin.get_list_filter(None):
        yield f"{each}__exact" if isinstance(each, str) else each.parameter_name
    yield from model_admin.list_lookups


def _paths(patterns: Any = None, prefix: str = "/admin/") -> Iterator[str]:
    """The route of every page that has a parameter, with `{}` in its place."""
    for pattern in patterns or admin.site.get_urls():
        route = prefix + re.sub(r"<[^>]*>", "{}", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from _paths(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern) and re.fullmatch(r"[\w/.{}-]+", route):
            yield route


class HostileInputTests(ConsoleTestCase):
    def values(self) -> list[str]:
        return [HOSTILE[name] for name in OFTEN]

    def setUp(self) -> None:
        super().setUp()
        self.sign_in(self.olga)
        issue_key(self.bakery)
        self.enter(self.root)
        self.faults: list[str] = []

    def ask(self, where: str, method: str = "GET", path: str = "", **extra: Any) -> None:
        """Send it; a 5xx is a fault. (A statement that PostgreSQL refused spoils no other.)"""
        with transaction.atomic():
            response = self.client.generic(method, path or where, **extra)
            if response.status_code >= 500:
                self.faults.append(f"{response.status_code} {method} {where[:120]}")
                transaction.set_rollback(True)

    def form(self, path: str, encoded: str) -> None:
        """Send a form, its fields encoded already."""
        kind = "application/x-www-form-urlencoded"
        self.ask(f"{path} {encoded}", "POST", path, data=encoded, content_type=kind)

    def tearDown(self) -> None:
        assert not self.faults, "\n".join(self.faults)
        super().tearDown()

    def test_in_every_parameter_of_every_list(self) -> None:
        lists = list(_models())
        assert len(lists) > 6
        for model_admin, url in lists:
            for name in (*OF_LISTS, *_filters(model_admin)):
                for value in self.values():
                    self.ask(f"{url}?{name}={value}")
        for value in self.values():
            self.ask(f"{url}?{value}=1")
            for name in OF_ONE_LIST:
                self.ask(f"{url}?{name}={value}")

    def test_a_list_is_narrowed_by_its_filters_alone(self) -> None:
        request = RequestFactory().get("/")
        for model_admin, url in _models():
            known = {*_filters(model_admin)}
            for field in model_admin.model._meta.concrete_fields:
                names = {field.name, *(f"{field.name}__{lookup}" for lookup in LOOKUPS)}
                for name in names:
                    allowed = model_admin.lookup_allowed(name, "1", request)
                    assert allowed == (name in known), (url, name)
            assert self.client.get(f"{url}?pk__regex=x").status_code == 400

    def test_in_every_address(self) -> None:
        paths = [path for path in _paths() if "{}" in path]
        assert len(paths) > 30
        for path in paths:
            for value in self.values():
                self.ask(path.replace("{}", value))
        for value in self.values():
            self.ask(f"/admin/{value}")

    def test_in_what_a_list_is_told_to_do(self) -> None:
        for model_admin, url in _models():
            request = RequestFactory().get(url)
            request.user = self.root
            actions = [*model_admin.get_actions(request)]
            for field in ("action", "index", "select_across", "_selected_action"):
                for value in self.values():
                    named = f"action={actions[0] if actions else 'nothing'}&_selected_action=1"
                    self.form(url, f"{named}&index=0&{field}={value}")

    def test_in_every_field_of_every_form(self) -> None:
        for model_admin, url in _models():
            request = RequestFactory().get(url)
            request.user = self.root
            obj = model_admin.model.objects.first()
            pages: dict[str, Any] = {}
            if model_admin.has_add_permission(request):
                pages[f"{url}add/"] = None
            if obj is not None and model_admin.has_change_permission(request, obj):
                pages[f"{url}{admin_quote(obj.pk)}/change/"] = obj
            for page, original in pages.items():
                fields = model_admin.get_form(request, original).base_fields
                assert fields
                for value in self.values():
                    self.form(page, "&".join(f"{field}={value}" for field in fields))

    def test_in_what_is_completed_while_typing(self) -> None:
        good = {
            "app_label": "authn", "model_name": "apikey", "field_name": "merchant", "term": "a",
        }  # fmt: skip
        for field in (*good, "page"):
            for value in self.values():
                rest = urlencode({name: good[name] for name in good if name != field})
                self.ask(f"/admin/autocomplete/?{rest}&{field}={value}")

    def test_at_the_sign_in(self) -> None:
        self.client.logout()
        for value in self.values():
            self.forget_counts()
            self.ask(f"/admin/login/?next={value}")
            for field in ("username", "password", "next"):
                self.form("/admin/login/", f"username=1&password=x&{field}={value}")
            for field in ("language", "next"):
                self.form("/admin/language/", f"language=pt-br&{field}={value}")

    def test_in_every_cookie(self) -> None:
        for name in ("sessionid", "csrftoken", "django_language", "messages"):
            for value in ('"\\000"', '"\\355\\240\\200"', "x" * 10_000, "9" * 5_000, ""):
                self.client.cookies.clear()
                self.client.cookies.load(f"{name}={value}")
                self.ask(f"/admin/login/ {name}={value}", path="/admin/login/")
                self.form("/admin/login/", "username=1&password=x")
                self.forget_counts()


@pytest.mark.proof
class AllHostileInputTests(HostileInputTests):
    def values(self) -> list[str]:
        return list(HOSTILE.values())
