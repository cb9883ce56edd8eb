"""The page to try the API: anyone may open it, and it needs nothing of other hosts."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

from django.contrib.staticfiles import finders
from django.urls import reverse

from fluxiq.docs import document
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.openapi import Json, operations

STATIC = "/static/"


class Page(HTMLParser):
    """What a page loads, and what stands in it that its policy would not run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str | None] = []
        self.links: list[str] = []
        self.inline: list[str] = []
        self.schema = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.inline += [name for name in found if name.startswith("on") or name == "style"]
        if tag == "script":
            self.scripts.append(found.get("src"))
        if tag == "style":
            self.inline.append(tag)
        if tag == "link":
            self.links.append(found["href"] or "")
        self.schema = found.get("data-schema") or self.schema


def static_file(url: str) -> Path:
    """The file behind a URL below `/static/`."""
    found = finders.find(url.removeprefix(STATIC))
    assert isinstance(found, str), f"{url} is not there"
    return Path(found)


def names(spec: Json) -> list[str]:
    """What the document calls its operations and groups."""
    summaries = [operation["summary"] for _, operation in operations(spec)]
    return summaries + [text for tag in spec["tags"] for text in tag.values()]


class DocsPageTests(ApiTestCase):
    def page(self) -> Page:
        response = self.get("/docs")
        assert response.status_code == 200
        return Page(response.content.decode())

    def test_anyone_may_open_it_whatever_they_accept(self) -> None:
        for accepted in ("text/html,*/*;q=0.8", "text/html", "application/json", "image/png"):
            response = self.get("/docs", HTTP_ACCEPT=accepted)
            assert response.status_code == 200, accepted
            assert response.headers["Content-Type"] == "text/html; charset=utf-8"

    def test_a_bad_credential_does_not_close_it(self) -> None:
        assert self.get("/docs", "no token at all").status_code == 200
        assert self.get("/openapi.json", "no token at all").status_code == 200

    def test_all_that_it_loads_comes_from_this_host(self) -> None:
        page = self.page()
        assert len(page.scripts) == 2
        assert len(page.links) == 3
        for url in (*page.scripts, *page.links):
            assert url is not None
            assert url.startswith(STATIC)
            assert static_file(url).stat().st_size

    def test_its_styles_and_its_script_name_no_other_host(self) -> None:
        page = self.page()
        styles = [static_file(url).read_text() for url in page.links if url.endswith(".css")]
        loaded = [url for style in styles for url in re.findall(r"url\(['\"]?([^)]*)", style)]
        assert loaded
        assert all(url.startswith("data:") for url in loaded)
        assert not any("@import" in style for style in styles)
        script = static_file("/static/fluxiq/docs.js").read_text()
        assert "//" not in re.sub(r"// .*", "", script)
        assert "validatorUrl: null" in script

    def test_its_policy_lets_scripts_of_this_host_alone_run(self) -> None:
        policy = dict(
            part.strip().split(" ", 1)
            for part in self.get("/docs").headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"

    def test_nothing_stands_in_it_that_its_policy_would_refuse(self) -> None:
        page = self.page()
        assert None not in page.scripts
        assert page.inline == []

    def test_it_shows_the_document(self) -> None:
        page = self.page()
        assert page.schema == reverse("schema") == "/api/v1/openapi.json"
        response = self.client.get(page.schema)
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "application/json"
        assert response.content == document()

    def test_operations_and_groups_are_named_in_portuguese_for_who_prefers_it(self) -> None:
        for accepted, language, called in (
            ("pt-BR,pt;q=0.9,en;q=0.8", "pt-br", "Emitir uma chave de API"),
            ("pt", "pt-br", "Emitir uma chave de API"),
            ("en, pt-BR;q=0.9", "en", "Issue an API key"),
            ("ja, *;q=0.1", "en", "Issue an API key"),
            ("\x00;;q=x", "en", "Issue an API key"),
        ):
            response = self.get("/openapi.json", HTTP_ACCEPT_LANGUAGE=accepted)
            assert response.headers["Content-Language"] == language, accepted
            assert "Accept-Language" in response.headers["Vary"]
            assert called in names(response.json()), accepted

    def test_no_operation_or_group_is_left_untranslated(self) -> None:
        english, portuguese = (names(json.loads(document(each))) for each in ("en", "pt-br"))
        assert len(english) == len(portuguese) > 50
        assert not {*english} & {*portuguese}

    def test_all_but_names_is_the_same_in_both_languages(self) -> None:
        english, portuguese = (json.loads(document(each)) for each in ("en", "pt-br"))
        for spec in (english, portuguese):
            del spec["tags"]
            for _, operation in operations(spec):
                del operation["summary"], operation["tags"]
        assert english == portuguese

    def test_the_document_may_be_kept_for_a_while_but_not_with_a_credential(self) -> None:
        assert self.get("/openapi.json").headers["Cache-Control"] == "public, max-age=300"
        assert self.get("/openapi.json", self.otto).headers["Cache-Control"] == "no-store"

    def test_the_page_and_the_document_count_and_static_files_do_not(self) -> None:
        page = self.page()
        for url in (*page.scripts, *page.links):
            response = self.client.get(url or "")
            assert response.status_code == 200, url
            assert "X-RateLimit-Limit" not in response.headers
            response.close()
        assert self.get("/openapi.json").headers["X-RateLimit-Remaining"] == "8"

    def test_it_can_be_read_and_not_written(self) -> None:
        assert self.error(self.post("/docs"), 405)["code"] == "METHOD_NOT_ALLOWED"
        assert self.error(self.post("/openapi.json"), 405)["code"] == "METHOD_NOT_ALLOWED"
