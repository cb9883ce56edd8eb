"""The security headers of every answer: each route, page, error, redirect and static file."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.contrib.staticfiles import finders
from django.db import OperationalError
from django.test import Client, override_settings
from django.urls import URLPattern, URLResolver, get_resolver

from fluxiq.errors import ServiceUnavailable
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.engines import PROJECT
from fluxiq.tests.factories import PASSWORD
from fluxiq.tests.served import SECRETS

# Of every answer there is, whatever it is.
ALL = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Request-ID": r"[A-Za-z0-9._-]{8,64}",
    "Referrer-Policy": "same-origin|no-referrer",
}
# Of every page that a browser shows: nothing from elsewhere, in no frame, posting only to us.
PAGE = {
    "Content-Security-Policy": r"(?=.*default-src 'none')(?=.*frame-ancestors 'none')"
    r"(?=.*base-uri 'none')(?=.*form-action ('none'|'self')(;|$)).*",
}
# Of the staff console, with its redirects and errors.
CONSOLE = {
    "Cache-Control": ".*no-store.*",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": PAGE["Content-Security-Policy"],
    "Permissions-Policy": r"(?=.*camera=\(\))(?=.*microphone=\(\))(?=.*payment=\(\)).*",
}
# Of the API: what it answers depends on who asks.
API = {"Vary": "(?i).*authorization.*"}
METRICS_TOKEN = "a token of the metrics"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def table(path: str, response: Any) -> dict[str, str]:
    """The headers that this answer must have, with a pattern for the whole value of each."""
    expected = dict(ALL)
    is_page = response.headers.get("Content-Type", "").startswith("text/html")
    if is_page and not response.streaming and response.content:  # Django's own 405 is empty
        expected |= PAGE
    if path.startswith("/admin/"):
        expected |= CONSOLE
    if path.startswith("/api/"):
        expected |= API
    if response.status_code == 401:
        expected |= {"Cache-Control": "no-store", "WWW-Authenticate": "Bearer"}
    return expected


def routes(
    patterns: list[URLPattern | URLResolver] | None = None, prefix: str = "/"
) -> Iterator[str]:
    """Every path that the URLconf knows, with a 1 in place of each of its parameters."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, path)
        else:
            path = re.sub(r"\(\?P<\w+>[^)]*\)|<[^>]+>", "1", path)
            yield re.sub(r"[\^$?]|\\Z|\.\*", "", path)


class HeaderTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.forget_counts()

    def assert_headed(self, path: str, response: Any) -> None:
        """What the table asks for is there, once, and no header tells what we are made of."""
        for name, pattern in table(path, response).items():
            value = response.headers.get(name)
            where = f"{name} of {response.status_code} at {path}: {value!r}"
            assert value is not None, where
            assert re.fullmatch(pattern, value), where
        assert not {"Server", "X-Powered-By"} & set(response.headers), path

    def walk(self, methods: tuple[str, ...] = ("GET",), **headers: Any) -> set[int]:
        """Ask every route by these methods, and return the statuses that came."""
        seen = set()
        for path in routes():
            for method in methods:
                self.forget_counts()
                response = self.client.generic(method, path, **headers)
                self.assert_headed(path, response)
                seen.add(response.status_code)
        return seen

    def test_the_walk_finds_every_route(self) -> None:
        paths = list(routes())
        assert len(paths) > 80
        assert {"/", "/healthz", "/reset-password", "/admin/login/", "/api/v1/auth/me"} <= {*paths}

    def test_for_nobody_by_every_method(self) -> None:
        assert {200, 302, 400, 401, 405} <= self.walk(METHODS)

    def test_for_staff(self) -> None:
        self.enter(self.root)
        assert {200, 302, 404} <= self.walk()

    def test_for_a_caller_of_the_api(self) -> None:
        assert {200, 400, 405} <= self.walk(("GET", "POST", "PATCH"), **self.bearer(self.olga))

    def test_for_static_files(self) -> None:
        names = ("admin/css/base.css", "drf_spectacular_sidecar/swagger-ui-dist/swagger-ui.css")
        for name in names:
            assert finders.find(name), name
            path = f"/static/{name}"
            response = self.client.get(path)
            assert response.status_code == 200, path
            self.assert_headed(path, response)
            assert response.getvalue()
        self.assert_headed("/static/none.css", self.client.get("/static/none.css"))

    def test_for_what_never_reaches_a_view(self) -> None:
        for path in ("/nowhere", "/api/v1/nowhere", "/admin/nowhere/", "/.well-known/nothing"):
            response = self.client.get(path)
            assert response.status_code in (302, 404), path
            self.assert_headed(path, response)

    def test_for_every_refusal_of_the_api(self) -> None:
        otto = self.membership(self.otto)
        again = {"document": self.otto.document, "name": "Otto", "role": "operator"}
        for status, response in (
            (400, self.post("/auth/login", None, b"{")),
            (401, self.get("/auth/me")),
            (403, self.get("/users", self.otto)),
            (404, self.get(f"/accounts/{self.shelf.id}", self.olga)),
            (405, self.call("PUT", "/accounts", self.olga)),
            (406, self.get("/accounts", self.olga, HTTP_ACCEPT="text/csv")),
            (409, self.post("/users", self.olga, again)),
            (413, self.post("/auth/login", None, b"x" * 70_000)),
            (415, self.patch(f"/users/{otto.id}", self.olga, content_type="text/csv")),
        ):
            assert response.status_code == status, response.content
            self.assert_headed(response.request["PATH_INFO"], response)

    def test_for_every_refusal_of_the_console(self) -> None:
        wrong = {"username": self.sam.document, "password": "a wrong password"}
        strict = Client(enforce_csrf_checks=True)
        self.enter(self.sam)
        refused = [
            (400, Client().get("/admin/login/", HTTP_HOST="evil.example")),
            (403, self.client.get("/admin/authn/apikey/")),
            (403, strict.post("/admin/login/", wrong)),
            (404, self.client.get("/admin/nowhere/")),
            (405, self.client.get("/admin/logout/")),
            *((200, self.client.post("/admin/login/", wrong)) for _ in range(5)),
            (429, self.client.post("/admin/login/", wrong)),
        ]
        for status, response in refused:
            assert response.status_code == status, response.content
            self.assert_headed(response.request["PATH_INFO"], response)

    def test_for_what_monitors_ask(self) -> None:
        allowed = {"Authorization": f"Bearer {METRICS_TOKEN}"}
        directory = self.enterContext(tempfile.TemporaryDirectory())
        with override_settings(METRICS_TOKEN=METRICS_TOKEN, METRICS_DIRECTORY=directory):
            metrics = [self.client.get("/metrics", headers=each) for each in (None, allowed)]
        with mock.patch("fluxiq.health.is_draining", return_value=True):
            stopping = self.client.get("/readyz")
        for status, response in (
            (404, self.client.get("/metrics")),
            (401, metrics[0]),
            (200, metrics[1]),
            (200, self.client.get("/readyz")),
            (503, stopping),
        ):
            assert response.status_code == status, response.content
            self.assert_headed(response.request["PATH_INFO"], response)

    def test_for_a_host_that_is_not_ours(self) -> None:
        for path in ("/admin/login/", "/api/v1/docs", "/healthz"):
            self.assert_headed(path, self.client.get(path, HTTP_HOST="evil.example"))

    def test_for_a_caller_beyond_the_limit(self) -> None:
        for _ in range(10):
            self.get("/auth/me")
        response = self.get("/auth/me")
        assert response.status_code == 429
        self.assert_headed("/api/v1/auth/me", response)

    def test_for_a_fault_of_a_view(self) -> None:
        for fault, status in ((RuntimeError("x"), 500), (OperationalError("x"), 503)):
            with (
                mock.patch("authn.views.me.MeView.get", side_effect=fault),
                self.assertLogs(level="ERROR"),
            ):
                response = self.get("/auth/me", self.olga)
            assert response.status_code == status
            self.assert_headed("/api/v1/auth/me", response)

    def test_for_a_fault_on_every_route(self) -> None:
        with (
            mock.patch(
                "fluxiq.middleware.StaffConsoleMiddleware.process_view", side_effect=OSError
            ),
            self.assertLogs(level="ERROR"),
        ):
            assert self.walk(METHODS) - {413} == {500}

    def test_for_work_that_the_console_cannot_do_now(self) -> None:
        form = {"username": self.sam.document, "password": PASSWORD}
        with mock.patch("authn.passwords.prove", side_effect=ServiceUnavailable):
            response = self.client.post("/admin/login/", form)
        assert response.status_code == 503
        self.assert_headed("/admin/login/", response)

    @override_settings(SECURE_HSTS_SECONDS=31_536_000)
    def test_over_https_a_browser_is_told_to_stay_there(self) -> None:
        for path in ("/healthz", "/api/v1/docs", "/admin/login/", "/nowhere"):
            value = type(self.client)().get(path, secure=True).headers["Strict-Transport-Security"]
            assert value == "max-age=31536000", path
            assert "Strict-Transport-Security" not in self.client.get(path).headers


HSTS_OF_PRODUCTION = """
import django; django.setup()
from django.http import HttpResponse
from django.test import RequestFactory
from fluxiq.middleware import OutermostMiddleware
answer = OutermostMiddleware(lambda request: HttpResponse())
for is_secure in (True, False):
    headers = answer(RequestFactory().get("/healthz", secure=is_secure)).headers
    print(headers.get("Strict-Transport-Security"))
"""


@pytest.mark.once
def test_production_binds_its_own_name_to_https_and_no_other(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        **SECRETS,
        "DJANGO_SETTINGS_MODULE": "fluxiq.settings.production",
        "ALLOWED_HOSTS": "auth.example.com",
        "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
        "COUNTERS_PATH": str(tmp_path / "counters.sqlite3"),
    }
    command = [sys.executable, "-c", HSTS_OF_PRODUCTION]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["max-age=31536000", "None"]
