"""The staff console's pages: their headers, their language and time, and what stays the API's."""

import re
from gettext import GNUTranslations
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session as StaffSession
from django.test import Client
from django.utils import timezone, translation

from fluxiq.settings.base import BASE_DIR
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import issue_key

CATALOGUE = Path(settings.LOCALE_PATHS[0]) / "pt_BR" / "LC_MESSAGES"
PORTUGUESE: dict[str, Any] = {"HTTP_ACCEPT_LANGUAGE": "pt-BR"}


def directives(response: Any) -> dict[str, str]:
    """The response's Content-Security-Policy, by directive."""
    policy = response.headers["Content-Security-Policy"]
    return dict(part.strip().partition(" ")[::2] for part in policy.split(";") if part.strip())


class HeaderTests(ConsoleTestCase):
    PAGES = ("/admin/login/", "/admin/", "/admin/authn/apikey/add/", "/admin/nowhere/")

    def test_no_page_lets_a_script_in_that_is_not_a_file_of_ours(self) -> None:
        self.enter(self.root)
        for page in self.PAGES:
            policy = directives(self.client.get(page))
            assert policy["default-src"] == "'none'", page
            assert policy["script-src"] == "'self' 'unsafe-eval'", page
            assert policy["base-uri"] == "'none'", page
            assert policy["form-action"] == "'self'", page
            assert policy["frame-ancestors"] == "'none'", page

    def test_only_the_console_may_evaluate_and_reset_page_and_docs_may_not(self) -> None:
        for page in ("/reset-password", "/api/v1/docs"):
            policy = directives(self.client.get(page))
            assert policy["script-src"] == "'self'", page
            assert policy["frame-ancestors"] == "'none'", page

    def test_no_page_has_a_script_or_a_handler_within_it(self) -> None:
        self.enter(self.root)
        api_key, _secret = issue_key(self.bakery)
        for page in (
            "",
            "authn/apikey/",
            "authn/apikey/add/",
            f"authn/apikey/{api_key.pk}/change/",
            f"authn/apikey/{api_key.pk}/rotate/",
            f"authn/apikey/{api_key.pk}/revoke/",
            f"merchants/merchant/{self.bakery.pk}/change/",
            f"accounts/user/{self.olga.pk}/change/",
            f"accounts/user/{self.olga.pk}/password/",
            "password_change/",
        ):
            text = self.look(page)
            assert not re.search(r"<script(?![^>]*\bsrc=)", text), page
            assert not re.search(r"\son[a-z]+=[\"']", text), page
            assert not re.search(r"(src|href)=[\"'](https?:)?//", text), page

    def test_pages_tell_no_referrer_abroad_and_ask_for_no_power_of_the_browser(self) -> None:
        response = self.client.get("/admin/login/")
        assert response.headers["Referrer-Policy"] == "same-origin"
        assert "camera=()" in response.headers["Permissions-Policy"]
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["X-Content-Type-Options"] == "nosniff"

    def test_the_api_keeps_its_lean_headers(self) -> None:
        headers = self.get("/auth/me", self.olga).headers
        for name in ("Content-Security-Policy", "Permissions-Policy", "Content-Language"):
            assert name not in headers
        assert "Accept-Language" not in headers["Vary"]
        assert not self.get("/auth/me", self.olga).cookies

    def test_a_form_without_its_token_gets_the_403_page(self) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(self.root)
        response = strict.post("/admin/authn/apikey/add/", {"name": "Mine"})
        assert response.status_code == 403
        assert "Not permitted" in response.content.decode()
        assert directives(response)["script-src"] == "'self' 'unsafe-eval'"

    def test_a_page_that_is_not_there_is_told_in_the_console(self) -> None:
        self.enter(self.root)
        page = self.look("authn/apikey/key_nothing/change/", expect=302)
        assert "There is no such page" in self.look("authn/nothing/", expect=404)
        assert "There is no such page" not in page

    def test_what_cannot_be_understood_is_told_in_the_console(self) -> None:
        self.enter(self.root)
        page = self.look("authn/apikey/", 400, q="a\0b")
        assert "The request could not be understood" in page
        response = self.client.get("/admin/authn/apikey/a%00b/change/", **PORTUGUESE)
        assert response.status_code == 400
        assert "A requisição não pôde ser entendida" in response.content.decode()

    def test_a_charset_of_the_clients_choice_is_not_used(self) -> None:
        """UTF-7 writes lone surrogates, which no database takes."""
        self.enter(self.root)
        for charset in ("utf-7", "unicode_escape"):
            kind = f"text/plain; charset={charset}"
            for text in ("%2B2AA-", "%5Cud800"):
                path = f"/admin/authn/apikey/?q={text}"
                assert self.client.get(path, CONTENT_TYPE=kind).status_code == 200

    def test_a_session_that_ends_during_a_request_is_answered_with_the_headers(self) -> None:
        self.enter(self.root)

        def end(*_args: Any) -> None:
            StaffSession.objects.all().delete()

        with mock.patch("authn.admin.home.fill", side_effect=end):
            response = self.client.get("/admin/")
        assert response.status_code == 400
        assert response.headers["X-Frame-Options"] == "DENY"
        assert "no-store" in response.headers["Cache-Control"]
        assert directives(response)["default-src"] == "'none'"

    def test_the_themes_search_over_everything_is_not_there(self) -> None:
        self.enter(self.root)
        self.look("search/", expect=404, s="a", extended="1")


class LanguageTests(ConsoleTestCase):
    def test_a_browser_in_portuguese_reads_portuguese(self) -> None:
        response = self.client.get("/admin/login/", **PORTUGUESE)
        page = response.content.decode()
        assert '<html lang="pt-br"' in page
        assert "Documento" in page
        assert response.headers["Content-Language"] == "pt-br"
        assert "Accept-Language" in response.headers["Vary"]

    def test_the_language_that_was_chosen_goes_before_the_browsers(self) -> None:
        self.enter(self.root)
        self.client.post("/admin/language/", {"language": "pt-br", "next": "/admin/"})
        assert self.client.cookies["django_language"]["path"] == "/admin/"
        assert self.client.cookies["django_language"]["httponly"]
        assert "Chaves de API" in self.look("")

    def test_choosing_a_language_leads_to_no_foreign_site(self) -> None:
        fields = {"language": "pt-br", "next": "https://evil.example/"}
        assert self.client.post("/admin/language/", fields).headers["Location"] == "/"

    def test_an_unknown_language_is_english(self) -> None:
        page = self.client.get("/admin/login/", HTTP_ACCEPT_LANGUAGE="xx, de;q=0.5")
        assert '<html lang="en"' in page.content.decode()

    def test_the_api_stays_in_english_and_utc_on_the_same_thread(self) -> None:
        self.client.get("/admin/login/", **PORTUGUESE)
        assert translation.get_language() == "en"
        assert timezone.get_current_timezone_name() == "UTC"
        response = self.post("/accounts", self.olga, {"name": ""}, **PORTUGUESE)
        assert "may not be blank" in response.content.decode()

    def test_moments_are_told_as_clocks_show_them_in_brasilia(self) -> None:
        self.enter(self.root)
        api_key, _secret = issue_key(self.bakery)
        type(api_key).objects.filter(pk=api_key.pk).update(last_used_at="2026-03-04T02:30:00Z")
        page = f"authn/apikey/{api_key.pk}/change/"
        assert "2026-03-03 23:30:00" in self.look(page)
        found = self.client.get(f"/admin/{page}", **PORTUGUESE).content.decode()
        assert "3 de Março de 2026 às 23:30" in found

    def test_what_models_call_things_and_permissions_mean_is_translated(self) -> None:
        self.enter(self.root)
        page = self.client.get("/admin/authn/apikey/add/", **PORTUGUESE).content.decode()
        for text in ("Emitir chave", "Enviar e receber pagamentos PIX", "Expira em"):
            assert text in page

    def test_refusals_of_rules_are_translated(self) -> None:
        self.enter(self.root)
        api_key, _secret = issue_key(self.bakery)
        api_key.revoke()
        response = self.client.post(
            f"/admin/authn/apikey/{api_key.pk}/change/", {"name": "Outra"}, **PORTUGUESE
        )
        assert "Esta chave não está mais em vigor" in response.content.decode()


class CatalogueTests:
    def entries(self) -> dict[str, str]:
        text = (CATALOGUE / "django.po").read_text()
        pairs = re.findall(r'^msgid "(.+)"\nmsgstr "(.*)"$', text, re.MULTILINE)
        return {self.plain(k): self.plain(v) for k, v in pairs}

    @staticmethod
    def plain(text: str) -> str:
        return text.replace('\\"', '"').replace("\\\\", "\\")


class TestCatalogue(CatalogueTests):
    def test_what_is_compiled_is_what_is_written(self) -> None:
        with (CATALOGUE / "django.mo").open("rb") as file:
            compiled = GNUTranslations(file)
        entries = self.entries()
        assert len(entries) > 200
        for message, translated in entries.items():
            assert compiled.gettext(message) == translated, "run make messages"

    def test_placeholders_are_the_same_in_both(self) -> None:
        for message, translated in self.entries().items():
            found = [sorted(re.findall(r"%\(\w+\)[sd]", text)) for text in (message, translated)]
            assert found[0] == found[1], message

    @pytest.mark.parametrize("folder", ["accounts", "authn", "fluxiq", "merchants"])
    def test_every_string_of_ours_has_a_translation(self, folder: str) -> None:
        entries = self.entries()
        missing = set()
        for path in (BASE_DIR / folder).rglob("*"):
            if "tests" in path.parts or path.suffix not in (".py", ".html"):
                continue
            for message in marked(path):
                with translation.override("pt-br"):
                    if message not in entries and translation.gettext(message) == message:
                        missing.add(message)
        assert not missing


_STRING = r'"(?:[^"\\]|\\.)*"'


def marked(path: Path) -> list[str]:
    """The strings that a file marks for translation."""
    text = path.read_text()
    if path.suffix == ".html":
        blocks = re.findall(r"{% blocktranslate trimmed[^%]*%}(.*?){% endblocktranslate %}", text)
        simple = re.findall(r'{% translate "([^"]*)"', text)
        return simple + [re.sub(r"{{ (\w+) }}", r"%(\1)s", block) for block in blocks]
    calls = re.findall(rf"(?:\b_|gettext_lazy|gettext)\(\s*((?:{_STRING}\s*)+)[,)]", text)
    return ["".join(re.findall(r'"((?:[^"\\]|\\.)*)"', call)) for call in calls]
