"""Remakes the pictures of docs/staff.md from the demo: `make screenshots`."""

import os
from pathlib import Path

from fluxiq.tests.browser import Staff, chromium, window
from fluxiq.tests.engines import PROJECT
from fluxiq.tests.served import EMBEDDED, NO_LIMITS, Service, serving

IMAGES = PROJECT / "docs" / "images"
WINDOWS = {1440: 740, 390: 844}


def work(service: Service) -> None:
    """A morning's work of the demo's owner, for the trail to begin with."""
    token = service.sign_in()["access_token"]
    service.sign_in(1)
    path = f"/api/v1/merchants/{service.demo['merchant_id']}/api-keys"
    body = {"name": "Delivery", "permissions": ["pix:read"]}
    for step in ("PATCH", "DELETE"):
        key = service.call("POST", path, token, body).json["data"]
        change = {"name": "Deliveries"} if step == "PATCH" else None
        service.call(step, f"{path}/{key['id']}", token, change)
    service.call("POST", "/api/v1/auth/logout", service.sign_in(2)["access_token"])


def remake(folder: Path) -> None:
    """Write a picture of each page at each width."""
    folder.mkdir(exist_ok=True)
    with serving(EMBEDDED, NO_LIMITS, workers=1) as service, chromium() as browser:
        service.manage("seed_demo", "--history")
        work(service)
        pages = {
            "home": "",
            "merchant": f"merchants/merchant/{service.demo['merchant_id']}/change/",
            "issue": "authn/apikey/add/",
            "audit": "audit/auditevent/",
        }
        for width, height in WINDOWS.items():
            size = {"width": width, "height": height}
            with window(browser, service, viewport=size) as shown:
                shown.sign_in(Staff())
                for name, path in pages.items():
                    shown.open(path)
                    shown.page.wait_for_timeout(300)  # for what fades in
                    shown.page.screenshot(path=folder / f"{name}-{width}.png")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fluxiq.settings.test")
    remake(IMAGES)
