"""The second step of signing in to the staff console, taken by a browser."""

import re
from typing import Any

from django.contrib import admin
from django.urls import URLPattern, URLResolver

from accounts.models import User
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import PASSWORD

LOGIN, CODE, ENROL = "/admin/login/", "/admin/login/code/", "/admin/login/enrol/"


class SecondStepCase(ConsoleTestCase):
    def password(self, user: User | None = None, **extra: Any) -> Any:
        """Give the right password, of sam unless told otherwise."""
        fields = {"username": (user or self.sam).document, "password": PASSWORD, **extra}
        return self.client.post(LOGIN, fields)

    def led_to(self, response: Any) -> str:
        assert response.status_code == 302, response.content
        return str(response.headers["Location"])

    def code(self, code: str, page: str = CODE) -> Any:
        return self.client.post(page, {"code": code})

    def is_in(self) -> bool:
        """Whether the console's pages open."""
        return bool(self.client.get("/admin/").status_code == 200)

    def errors(self, response: Any) -> list[str]:
        return [m for messages in response.context["form"].errors.values() for m in messages]


def admin_paths(patterns: Any = None, prefix: str = "/admin/") -> list[str]:
    """A path of every page of the console but those of the sign-in, ids made up."""
    found = []
    for pattern in patterns or admin.site.get_urls():
        route = prefix + re.sub(r"<[^>]*>", "1", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            found += admin_paths(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern) and re.fullmatch(r"[\w/.-]+", route):
            found.append(route)
    return [path for path in found if not path.startswith(LOGIN)]
