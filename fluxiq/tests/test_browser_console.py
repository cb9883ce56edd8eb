"""The staff console in a real browser, from signing in to a key that is refused."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, expect

from fluxiq.tests.browser import Staff, Window, chromium, find_chromium, window
from fluxiq.tests.engines import require
from fluxiq.tests.served import EMBEDDED, NO_LIMITS, Service, serving

pytestmark = pytest.mark.engine

PASSWORD = "a newcomer's password"
FITS = "document.documentElement.scrollWidth <= window.innerWidth"
WIDTHS = {"wide": {"width": 1440, "height": 1000}, "telephone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    require(find_chromium)
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    require(find_chromium)
    required = {"MFA_REQUIRED_FOR_STAFF": "true", "MFA_REQUIRED_FOR_SUPERUSERS": "true"}
    with serving(EMBEDDED, {**NO_LIMITS, **required}, workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def staff() -> Staff:
    """A superuser, who enrols at their first sign-in."""
    return Staff()


def issue(shown: Window, name: str) -> str:
    """Issue a key to the demo's merchant, and read its secret from the page that answers."""
    page = shown.page
    shown.open("authn/apikey/add/")
    page.click(".select2-selection")
    page.fill(".select2-search__field", "Padaria")
    page.click(".select2-results__option:has-text('Padaria')")
    page.fill("#id_name", name)
    page.check("input[value='accounts:read']")
    page.click("button:has-text('Issue key')")
    secret = page.locator("#secret").inner_text()
    assert re.fullmatch(r"sk_live_[0-9A-Za-z]{38}", secret)
    return secret


def test_the_second_factor_is_set_up_from_a_code_on_the_page(
    browser: Browser, service: Service
) -> None:
    document = "15350946056"
    service.manage(
        "create_user", document, "--name", "New", "--superuser", "--password-stdin", stdin=PASSWORD
    )
    newcomer = Staff(document, PASSWORD)
    with window(browser, service, viewport=WIDTHS["telephone"]) as shown:
        page = shown.page
        shown.give_password(newcomer)
        assert page.url.endswith("/login/enrol/")
        drawn = "document.querySelector('.fx-qr').naturalWidth"
        assert page.evaluate(drawn) > 0  # the policy lets it be shown
        assert page.evaluate(FITS)
        shown.give_code("000000")
        expect(page.locator("#content-main")).to_contain_text("Invalid code")
        shown.sign_in(newcomer)
        page.context.clear_cookies()
        shown.open("")
        assert "/login/" in page.url
        shown.give_password(newcomer)
        assert page.url.endswith("/login/code/")
        assert page.evaluate(FITS)
        shown.give_code(newcomer.recovery_codes.pop())
        page.wait_for_url(f"{shown.url}/admin/")
        assert not shown.foreign
        assert not shown.complaints


def test_a_key_is_issued_used_seen_on_the_chart_revoked_and_refused(
    browser: Browser, service: Service, staff: Staff
) -> None:
    with window(browser, service, viewport=WIDTHS["wide"]) as shown:
        page = shown.page
        shown.sign_in(staff)
        secret = issue(shown, "Browser Key")
        page.click("button:has-text('Copy')")
        expect(page.locator("button:has-text('Copied')")).to_be_visible()

        assert service.call("GET", "/api/v1/accounts", secret).status == 200
        assert service.call("GET", "/api/v1/accounts", secret).status == 200
        service.manage("flush_usage")

        page.click("text=The key's page")
        key_page = page.url
        expect(page.locator(".fx-legend li").first).to_have_text(re.compile(r"admitted\s+2"))
        assert page.locator(".fx-chart rect.fx-admitted").count() == 1
        assert secret not in page.content()
        shown.open("")
        expect(page.locator("body")).to_contain_text("Browser Key")

        page.goto(key_page)
        page.click("a:has-text('Revoke')")
        page.fill("#id_reason", "Seen in a paste")
        page.click("button:has-text('Revoke')")
        expect(page.locator("body")).to_contain_text("revoked")
        assert service.call("GET", "/api/v1/accounts", secret).status == 401
        assert shown.asked
        assert not shown.foreign
        assert not shown.complaints


def test_the_page_of_a_secret_is_gone_when_one_comes_back_to_it(
    browser: Browser, service: Service, staff: Staff
) -> None:
    with window(browser, service, viewport=WIDTHS["wide"]) as shown:
        shown.sign_in(staff)
        secret = issue(shown, "Shown Once")
        shown.page.click("text=I have stored it")
        assert secret not in shown.page.content()
        with pytest.raises(Error, match="ERR_CACHE_MISS"):  # kept by nobody, it cannot be shown
            shown.page.go_back()


def test_many_are_revoked_from_the_list_after_a_confirmation(
    browser: Browser, service: Service, staff: Staff
) -> None:
    with window(browser, service, viewport=WIDTHS["wide"]) as shown:
        page = shown.page
        shown.sign_in(staff)
        shown.open("authn/apikey/?q=Trial")
        shown.open("authn/apikey/?use=never")
        page.check("#result_list tbody input.action-select >> nth=0")
        page.select_option("select[name=action]", "revoke")
        page.click("#changelist-actions button[type=submit]")
        page.fill("#id_reason", "Never used")
        page.click("button:has-text('Revoke')")
        expect(page.locator("body")).to_contain_text("Revoke:")
        assert not shown.foreign
        assert not shown.complaints


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_their_window_and_follow_the_scheme(
    browser: Browser, service: Service, staff: Staff, width: str, scheme: str
) -> None:
    merchant = service.demo["merchant_id"]
    with window(browser, service, viewport=WIDTHS[width], color_scheme=scheme) as shown:
        shown.sign_in(staff)
        for path in ("", f"merchants/merchant/{merchant}/change/", "authn/apikey/add/"):
            shown.open(path)
            assert shown.page.evaluate(FITS), path
            is_dark = shown.page.evaluate("document.documentElement.classList.contains('dark')")
            assert is_dark is (scheme == "dark")
        assert not shown.foreign
        assert not shown.complaints


def test_a_script_in_a_page_would_not_run(browser: Browser, service: Service) -> None:
    with window(browser, service) as shown:
        shown.open("login/")
        ran = shown.page.evaluate(
            """() => {
                const script = document.createElement('script');
                script.textContent = 'window.ran = true';
                document.body.append(script);
                const image = document.createElement('img');
                image.setAttribute('onerror', 'window.ran = true');
                image.src = '/nowhere.png';
                document.body.append(image);
                return new Promise((done) => setTimeout(() => done(window.ran === true), 300));
            }"""
        )
        assert ran is False
        assert any("Content Security Policy" in complaint for complaint in shown.complaints)
