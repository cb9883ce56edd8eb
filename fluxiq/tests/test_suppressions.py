"""What silences the linter says why, where it stands."""

import re

from django.conf import settings

APPS = ("accounts", "authn", "bench", "docs", "fluxiq", "merchants")
MARK = "# " + "noqa"
# The codes, and then a reason.
REASONED = re.compile(MARK + r": [A-Z]+\d+(, ?[A-Z]+\d+)* (- |\()\w")


def test_every_suppression_gives_its_reason() -> None:
    root = settings.BASE_DIR
    files = [*root.glob("*.py"), *(f for app in APPS for f in (root / app).rglob("*.py"))]
    marked = [
        f"{file.relative_to(root)}:{number}: {line.strip()}"
        for file in files
        if "node_modules" not in file.parts
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if MARK in line
    ]
    assert len(marked) > 20
    assert not [line for line in marked if not REASONED.search(line)]
