"""A headless Chromium, of this machine, that talks to nobody but this machine.

`chromium` comes with the system (`apt-get install chromium`); CHROMIUM names another path.
"""

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

from authn.mfa import totp
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
class Staff:
    """Somebody who signs in to the console, with their authenticator app once they have one."""

    document: str = SUPERUSER[0]
    password: str = SUPERUSER[1]
    secret: str = ""
    recovery_codes: list[str] = field(default_factory=list)
    last_step: int = 0

    def code(self) -> str:
        """What the app shows now or in 30 seconds, each once; else a recovery code."""
        step = max(int(time.time()) // totp.STEP, self.last_step + 1)
        if step > int(time.time()) // totp.STEP + 1:
            return self.recovery_codes.pop()
        self.last_step = step
        return totp.code_at(self.secret, datetime.fromtimestamp(step * totp.STEP, UTC))


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

    def sign_in(self, staff: Staff) -> None:
        """Sign in to the console: the one place that knows what it asks for."""
        self.give_password(staff)
        if self.page.url.endswith("/login/enrol/"):
            staff.secret = self.page.locator("#content-main p > code").inner_text()
            self.give_code(staff.code())
            staff.recovery_codes = self.page.locator(".fx-codes code").all_inner_texts()
            self.page.click("text=I have kept them")
        elif self.page.url.endswith("/login/code/"):
            self.give_code(staff.code())
        self.page.wait_for_url(f"{self.url}/admin/")

    def give_password(self, staff: Staff) -> None:
        """The first step, to wherever it leads."""
        self.open("login/")
        self.page.fill("#id_username", staff.document)
        self.page.fill("#id_password", staff.password)
        self.page.click("#login-form button[type=submit]")
        self.page.wait_for_url(re.compile(r"/admin/(login/(code|enrol)/)?$"))

    def give_code(self, code: str) -> None:
        """The second step."""
        self.page.fill("#id_code", code)
        self.page.click("#login-form button[type=submit]")


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
