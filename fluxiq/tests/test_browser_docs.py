"""The page to try the API, tried in a real browser with either credential."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from fluxiq.tests.browser import Window, chromium, find_chromium, window
from fluxiq.tests.engines import require
from fluxiq.tests.served import EMBEDDED, NO_LIMITS, Service, serving

pytestmark = pytest.mark.engine

FITS = "document.documentElement.scrollWidth <= window.innerWidth"
TOKEN, KEY = 0, 1  # the order in which the page asks for them


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    require(find_chromium)
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    require(find_chromium)
    with serving(EMBEDDED, NO_LIMITS, workers=1) as running:
        yield running


@pytest.fixture(params=[1440, 390], ids=["wide", "telephone"])
def page(request: pytest.FixtureRequest, browser: Browser, service: Service) -> Iterator[Window]:
    """The page, which asked nothing of other hosts, fits, and had nothing to complain of."""
    with window(browser, service, viewport={"width": request.param, "height": 900}) as shown:
        shown.page.goto(f"{service.gunicorn.url}/api/v1/docs")
        shown.page.wait_for_selector(".opblock")
        yield shown
        assert shown.page.evaluate(FITS)
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
    page: Window, service: Service
) -> None:
    accounts, keys = opened(page, "Accounts-listAccounts"), opened(page, "API_keys-listApiKeys")
    keys.get_by_placeholder("merchant_id").fill(service.demo["merchant_id"])
    assert status(page, accounts) == 401
    give(page, KEY, service.demo["key"])
    assert status(page, accounts) == 200
    # The page asks for keys with no credential, since a key never serves there.
    assert status(page, keys) == 401
    give(page, TOKEN, service.sign_in()["access_token"])
    assert status(page, keys) == 200
    assert status(page, accounts) == 200
    told = accounts.locator(".live-responses-table").inner_text()
    assert "x-ratelimit-remaining" in told
    assert "1520.75" in told
