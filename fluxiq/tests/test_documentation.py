"""What README.md and docs/ tell their reader to type is typed, and does what they say; the page to
try the API is tried in a browser."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from authn.tests.tokens import PRIVATE, pem
from fluxiq.tests import documentation
from fluxiq.tests.browser import Window, chromium, find_chromium, window
from fluxiq.tests.documentation import PAGES, RUNNABLE, agrees, blocks
from fluxiq.tests.engines import PROJECT, require
from fluxiq.tests.served import EMBEDDED, Service, serving

pytestmark = pytest.mark.engine

# By page, the first word or two of every block that cannot be run here, as the page says why.
NOT_RUN: dict[str, list[str]] = {
    "README.md": ["make run #"],
    "docs/integrate.md": ["openapi-python-client generate --path"],
    "docs/operate.md": [
        "docker build -t",
        "EMAIL_URL=smtp+tls://user:password@mail.example.com:587 sh deploy/compose/make-secrets.sh",
        "docker compose -f",
        "kubectl apply -k",
        "python3 -m venv",
    ],
    "docs/runbook.md": [
        "python manage.py export_audit_log",
        "python manage.py export_audit_log",
        "pg_restore --exit-on-error --no-owner",
        'cp fluxiq.backup "$NEW_DATABASE_FILE"',
        "python manage.py migrate",
    ],
}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """The service with the demo's data, which takes as many requests as the pages make."""
    key = pem(PRIVATE["ES256"])  # a ring that publishes what it signs with
    settings = {"RATE_LIMIT_ANONYMOUS": "1000/m", "JWT_SIGNING_KEYS": f"2026:ES256:{key}"}
    with serving(EMBEDDED, settings, workers=1) as running:
        yield running


# The runbook takes a service of its own, whose credentials it ends: test_runbook_leaks.py.
FOLLOWED = [page for page in PAGES if page.stem != "runbook"]


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: page.stem)
def test_what_a_page_tells_to_run_runs_and_prints_what_is_shown(
    page: Path, service: Service, tmp_path: Path
) -> None:
    if any(block.language in RUNNABLE and block.why_not is None for block in blocks(page)):
        documentation.follow(page, documentation.reader(service, tmp_path))


def test_the_blocks_that_are_not_run_are_these_few() -> None:
    exempt: dict[str, list[str]] = {}
    for page in PAGES:
        for block in blocks(page):
            if block.why_not is not None:
                exempt.setdefault(block.page, []).append(" ".join(block.source.split()[:3]))
    assert exempt == NOT_RUN


def test_what_is_shown_as_json_is_json() -> None:
    for page in PAGES:
        for block in blocks(page):
            for text in (block.shows, block.source if block.language == "json" else None):
                if text is not None and text.startswith("{"):
                    json.loads(text)


def test_every_link_to_a_file_leads_to_it() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_heading_that_is_linked_is_there() -> None:
    for page in PAGES:
        for target, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)", page.read_text()):
            headings = re.findall(
                r"^#+ (.+)$", (page.parent / target if target else page).read_text(), re.MULTILINE
            )
            assert heading in {_anchor(h) for h in headings}, f"{page.name}: {target}#{heading}"


def _anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_page_and_picture_is_linked() -> None:
    linked = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text())
    }
    images = (PROJECT / "docs" / "images").iterdir()
    for path in (*PAGES[1:], *images):
        assert path.resolve() in linked, path


FITS = "document.documentElement.scrollWidth <= window.innerWidth"
TOKEN, KEY = 0, 1  # the order in which the page asks for them


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    require(find_chromium)
    with chromium() as running:
        yield running


@pytest.fixture
def reference(browser: Browser, service: Service) -> Iterator[Window]:
    """The page to try the API, which asked nothing of other hosts and complained of nothing."""
    with window(browser, service, viewport={"width": 1440, "height": 900}) as shown:
        shown.page.goto(f"{service.gunicorn.url}/api/v1/docs")
        shown.page.wait_for_selector(".opblock")
        yield shown
        assert shown.foreign == []
        assert [c for c in shown.complaints if "status of 401" not in c] == []


def give(shown: Window, which: int, credential: str) -> None:
    """Fill in one of the credentials that Authorize asks for."""
    shown.page.locator(".auth-wrapper > .authorize").click()
    asked = shown.page.locator(".auth-container").nth(which)
    asked.locator("input").fill(credential)
    asked.locator("button.authorize").click()
    shown.page.locator(".close-modal").click()


def opened(shown: Window, operation: str) -> Locator:
    """An operation, unfolded and ready to try."""
    block = shown.page.locator(f"#operations-{operation}")
    block.locator(".opblock-summary-control").click()
    block.locator(".try-out__btn").click()
    return block


def status(shown: Window, block: Locator) -> int:
    """The status that trying it gave, which the page then shows."""
    with shown.page.expect_response("**/api/v1/**") as answered:
        block.locator(".execute").click()
    told = block.locator(".live-responses-table .response .response-col_status")
    expect(told).to_contain_text(str(answered.value.status))
    return int(answered.value.status)


def test_each_credential_opens_what_it_opens_and_none_is_401(
    reference: Window, service: Service
) -> None:
    accounts, keys = (
        opened(reference, "Accounts-listAccounts"),
        opened(reference, "API_keys-listApiKeys"),
    )
    keys.get_by_placeholder("merchant_id").fill(service.demo["merchant_id"])
    assert status(reference, accounts) == 401
    give(reference, KEY, service.demo["key"])
    assert status(reference, accounts) == 200
    # The page asks for keys with no credential, since a key never serves there.
    assert status(reference, keys) == 401
    give(reference, TOKEN, service.sign_in()["access_token"])
    assert status(reference, keys) == 200
    assert status(reference, accounts) == 200
    told = accounts.locator(".live-responses-table").inner_text()
    assert "x-ratelimit-remaining" in told
    assert "1520.75" in told
    for width in (390, 1440):
        reference.page.set_viewport_size({"width": width, "height": 900})
        assert reference.page.evaluate(FITS)


class TestTheReader:
    """What is trusted above to notice."""

    def page(self, tmp_path: Path, text: str) -> Path:
        page = tmp_path / "page.md"
        page.write_text(text)
        return page

    def test_output_is_held_but_for_what_is_left_out(self) -> None:
        assert agrees('{"a": "x…", "b": 1}', '{"b":1,"a":"xyz"}')
        assert not agrees('{"a": "x…"}', '{"a":"y"}')
        assert not agrees('{"a": "x…"}', '{"a":"x","b":1}')
        assert agrees('{"n": "…", "m": ["a", "…"]}', '{"n": 7, "m": ["a", {"b": 1}]}')
        assert agrees("one …\n", "one two")
        assert not agrees("one", "one two")

    def test_blocks_are_found_with_their_output_and_in_comments(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(documentation, "PROJECT", tmp_path)
        text = (
            "<!--\n```sh\nhidden\n```\n-->\n\n```sh\necho 1\n```\n\n```text\n1\n```\n\n"
            "words\n\n```json\n{}\n```\n<!-- not run: needs root -->\n```sh\nreboot\n```\n"
        )
        found = blocks(self.page(tmp_path, text))
        assert [(b.language, b.source, b.shows, b.why_not) for b in found] == [
            ("sh", "hidden\n", None, None),
            ("sh", "echo 1\n", "1\n", None),
            ("json", "{}\n", None, None),
            ("sh", "reboot\n", None, "needs root"),
        ]

    @pytest.mark.parametrize(
        ("language", "source"),
        [
            ("sh", "false; true"),
            ("sh", "echo $UNSET"),
            ("sh", "curl -fs http://127.0.0.1:8000/nowhere | cat"),
            ("http", "GET /api/v1/accounts"),
            ("http", "GET /api/v1/accounts\nAuthorization: Bearer $NOBODY"),
            ("python", "assert False"),
            ("js", "throw new Error('no')"),
        ],
    )
    def test_a_block_that_fails_is_noticed(
        self, service: Service, tmp_path: Path, language: str, source: str
    ) -> None:
        block = documentation.Block("page.md", 1, language, source, None, None)
        with pytest.raises((AssertionError, KeyError)):
            documentation.reader(service, tmp_path).run(block)

    def test_what_a_shell_sets_is_there_afterwards(self, service: Service, tmp_path: Path) -> None:
        reader = documentation.reader(service, tmp_path)
        for language, source in (
            ("sh", "NAMED='a b'"),
            ("sh", 'test "$NAMED" = "a b"'),
            ("python", "import os; name = os.environ['NAMED']"),
            ("python", "assert name == 'a b'"),
            ("http", "GET /api/v1/accounts\nAuthorization: Bearer $TOKEN"),
        ):
            reader.run(documentation.Block("page.md", 1, language, source, None, None))
