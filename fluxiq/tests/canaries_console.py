"""The staff console used by somebody with a browser: each form that takes or tells a secret.

Answers and secrets are kept in the walk over the API (`fluxiq.tests.canaries`).
"""

import re
from dataclasses import dataclass
from html import unescape
from http import HTTPStatus
from typing import Any

import httpx

from authn.tests.second_step import admin_paths
from fluxiq.tests.canaries import Walk
from fluxiq.tests.factories import Phone
from fluxiq.tests.served import Answer

STAFF = "11144477799"
ADDED = "38617294055"


@dataclass
class Browser:
    """A browser at the console; each answer is noted."""

    walk: Walk
    client: httpx.Client

    def open(self, path: str, status: int = HTTPStatus.OK) -> Answer:
        """A page, of an answer with that status."""
        return self._noted(self.client.get(path), status)

    def look(self, path: str) -> Answer:
        """A page, however it is answered."""
        return self._noted(self.client.get(path))

    def send(
        self, path: str, status: int = HTTPStatus.FOUND, *, on: str = "", **fields: Any
    ) -> Answer:
        """The form of that page, or of the page that it is `on`, filled in and sent."""
        page = self.client.get(on or path)
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        headers = {"Referer": str(page.url)}
        return self._noted(
            self.client.post(path, data={**hidden, **fields}, headers=headers), status
        )

    def _noted(self, response: httpx.Response, status: int | None = None) -> Answer:
        name = f"{response.request.method} {response.request.url.path}"
        answer = Answer(response.status_code, dict(response.headers), response.content)
        assert status in (None, answer.status), (name, answer)
        return self.walk.note(name, answer)


def walk_console(walk: Walk, people: dict[str, str], merchant: str) -> None:
    """Sign in as staff, with a second factor enrolled there, and make and take every secret.

    `people` are the ids of the staff (`staff`) and of a person of theirs (`owner`).
    """
    with httpx.Client(base_url=walk.service.gunicorn.url) as client:
        browser = Browser(walk, client)
        _sign_in(browser)
        walk.keep("first cookie of the console", client.cookies["sessionid"])
        _keys(browser, merchant)
        _members(browser, merchant)
        _people(browser, people["owner"])
        walk.keep("last cookie of the console", client.cookies["sessionid"])
        for path in admin_paths():
            if "/logout/" not in path:
                browser.look(path)
        for path in (f"accounts/user/{one}/change/" for one in people.values()):
            browser.open(f"/admin/{path}")


def _text(answer: Answer) -> str:
    return unescape(answer.content.decode())


def _sign_in(browser: Browser) -> None:
    walk = browser.walk
    password = walk.secrets["password of the staff"]
    mistyped = walk.keep("mistyped password", "canary password, mistypd")
    browser.send("/admin/login/", HTTPStatus.OK, username=STAFF, password=mistyped)
    browser.send("/admin/login/", username=STAFF, password=password)
    shown = browser.open("/admin/login/enrol/")
    (secret,) = re.findall(r"<code>([A-Z2-7]{32})</code>", _text(shown))
    phone = Phone(secret, ())
    again = browser.send("/admin/login/enrol/", HTTPStatus.OK, code=phone.wrong_code())
    assert secret in _text(again)
    walk.keep("TOTP secret of the staff", secret, shown, again)
    told = browser.send("/admin/login/enrol/", HTTPStatus.OK, code=phone.code())
    codes = re.findall(r"<code>((?:\w{4}-){3}\w{4})</code>", _text(told))
    for number, code in enumerate(codes):
        walk.keep(f"recovery code {number} of the staff", code, told)
    browser.send("/admin/logout/", HTTPStatus.OK, on="/admin/")
    browser.send("/admin/login/", username=STAFF, password=password)
    browser.send("/admin/login/code/", HTTPStatus.OK, code=phone.wrong_code())
    browser.send("/admin/login/code/", code=codes[0])
    browser.open("/admin/")


def _keys(browser: Browser, merchant: str) -> None:
    fields = {"merchant": merchant, "name": "Canary", "permissions": "accounts:read"}
    told = browser.send("/admin/authn/apikey/add/", HTTPStatus.OK, **fields)
    browser.walk.keep("API key of the console", _shown(told), told)
    key = re.findall(r"/admin/authn/apikey/(key_\w+)/change/", _text(told))[0]
    told = browser.send(f"/admin/authn/apikey/{key}/rotate/", HTTPStatus.OK, grace="0")
    browser.walk.keep("API key rotated at the console", _shown(told), told)


def _shown(answer: Answer) -> str:
    """The secret that the page shows once."""
    (secret,) = re.findall(r'<code id="secret"[^>]*>([^<]+)</code>', _text(answer))
    return str(secret)


def _members(browser: Browser, merchant: str) -> None:
    path, row = f"/admin/merchants/merchant/{merchant}/change/", "memberships-0-"
    fields = {f"memberships-{name}_FORMS": "0" for name in ("INITIAL", "MIN_NUM")}
    fields |= {f"memberships-{name}_FORMS": "1" for name in ("TOTAL", "MAX_NUM")}
    fields |= {f"{row}id": "", f"{row}merchant": merchant, f"{row}role": "operator"}
    fields |= {f"{row}person": ADDED, f"{row}name": "Ada"}
    told = browser.send(path, HTTPStatus.OK, name="Canaries", **fields)
    browser.walk.keep("invitation of the console", _shown(told), told)


def _people(browser: Browser, owner: str) -> None:
    walk = browser.walk
    told = browser.send(f"/admin/accounts/user/{owner}/reset-link/", HTTPStatus.OK)
    walk.keep("reset token of the console", _shown(told).partition("#")[2], told)
    told = browser.send(f"/admin/accounts/user/{owner}/reclaim/", HTTPStatus.OK, reason="Canary")
    walk.keep("reset token of a document given back", _shown(told).partition("#")[2], told)
    new = walk.keep("password that staff set", "canary password set by staff")
    browser.send(f"/admin/accounts/user/{owner}/password/", new_password1=new, new_password2=new)
    new = walk.keep("password of the added", "canary password of the added")
    person: dict[str, Any] = {"document": ADDED, "name": "Ada", "email": "a@x.example"}
    browser.send("/admin/accounts/user/add/", **person, password1=new, password2=new)
    new = walk.keep("changed password of the staff", "canary password changed by staff")
    old = walk.secrets["password of the staff"]
    fields: dict[str, Any] = {"old_password": old, "new_password1": new, "new_password2": new}
    browser.send("/admin/password_change/", **fields)
