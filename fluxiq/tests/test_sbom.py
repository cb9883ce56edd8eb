"""The bill of materials names what the lock pins: each version, with each hash, and no more."""

import json
import re

from django.conf import settings

LOCK = settings.BASE_DIR / "requirements.lock"
SBOM = settings.BASE_DIR / "deploy" / "sbom.cdx.json"

Pins = dict[tuple[str, str], set[str]]


def locked() -> Pins:
    """The hashes by (name, version) of requirements.lock."""
    pins: Pins = {}
    current: set[str] = set()
    for line in LOCK.read_text().splitlines():
        if pin := re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", line):
            current = pins.setdefault((pin[1], pin[2]), set())
        current.update(re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
    return pins


def billed() -> Pins:
    """The hashes by (name, version) of the bill of materials."""
    return {
        (part["name"], part["version"]): {
            entry["content"]
            for source in part["externalReferences"]
            for entry in source.get("hashes", ())
            if entry["alg"] == "SHA-256"
        }
        for part in json.loads(SBOM.read_text())["components"]
    }


def test_the_bill_of_materials_is_the_lock() -> None:
    pins = locked()
    assert len(pins) > 30
    assert all(pins.values())
    assert billed() == pins, "run `make sbom`"


def test_every_component_has_the_package_url_that_scanners_ask_about() -> None:
    for part in json.loads(SBOM.read_text())["components"]:
        assert part["purl"] == f"pkg:pypi/{part['name']}@{part['version']}"


def test_it_is_cyclonedx() -> None:
    bill = json.loads(SBOM.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
