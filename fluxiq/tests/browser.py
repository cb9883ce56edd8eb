"""A headless Chromium, of this machine, that talks to nobody but this machine.

`chromium` comes with the system (`apt-get install chromium`); CHROMIUM names another path.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

from fluxiq.tests.engines import EngineUnavailable
from fluxiq.tests.served import Service

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOOPBACK = {"127.0.0.1", "localhost", ""}  # the last of data: and blob:
SUPERUSER = ("39053344705", "superuser-password")  # of authn.demo


def find_chromium() -> str:
    """The path of a Chromium. Raises EngineUnavailable."""
    for name in (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name) if name else None
        if path is not None:
            return path
    raise EngineUnavailable("there is no chromium on this machine")


@dataclass
class Window:
    """A page of the browser, what it asked for, and what it complained about."""

    page: Page
    url: str
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Go to a page of the console."""
        self.page.goto(f"{self.url}/admin/{path}", wait_until="load")

    @property
    def foreign(self) -> list[str]:
        """What it asked of other hosts."""
        return [url for url in self.asked if (urlsplit(url).hostname or "") not in LOOPBACK]

    def sign_in(self, document: str = SUPERUSER[0], password: str = SUPERUSER[1]) -> None:
        """Sign in to the console: the one place that knows what it asks for."""
        self.open("login/")
        self.page.fill("#id_username", document)
        self.page.fill("#id_password", password)
        self.page.click("#login-form button[type=submit]")
        self.page.wait_for_url(f"{self.url}/admin/")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser. Raises EngineUnavailable."""
    path = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def window(browser: Browser, service: Service, **options: Any) -> Iterator[Window]:
    """A new window on the service, as of a member of staff in Brasília."""
    options.setdefault("locale", "en")
    context = browser.new_context(timezone_id="America/Sao_Paulo", **options)
    page = context.new_page()
    shown = Window(page, service.gunicorn.url)
    page.on("request", lambda request: shown.asked.append(request.url))
    page.on("pageerror", lambda error: shown.complaints.append(str(error)))

    def listen(message: Any) -> None:
        if message.type == "error":
            shown.complaints.append(message.text)

    page.on("console", listen)
    try:
        yield shown
    finally:
        context.close()
