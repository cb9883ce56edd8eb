"""What the tests start finds the packages of production, and not those that only tests bring."""

import os
import re
import subprocess
import sys

import pytest

from fluxiq.tests.engines import AS_IN_PRODUCTION, PROJECT

pytestmark = pytest.mark.once

# Read, and not imported, which would hide them from the tests.
_SOURCE = PROJECT / "fluxiq" / "tests" / "production" / "sitecustomize.py"
HIDDEN = set(re.findall(r'"(\w+)"', _SOURCE.read_text().partition("HIDDEN = ")[2].split("\n")[0]))


def imported(*names: str) -> list[str]:
    """Which of these a process that is started as in production can import."""
    script = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    try: importlib.import_module(name); print(name)\n"
        "    except ModuleNotFoundError as error: assert error.name == name, error\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *names],
        env={**os.environ, **AS_IN_PRODUCTION}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()


def test_what_is_hidden_cannot_be_imported_and_all_else_can() -> None:
    assert imported(*sorted(HIDDEN), "django", "redis", "structlog") == [
        "django",
        "redis",
        "structlog",
    ]


def test_nothing_that_production_has_is_hidden() -> None:
    assert len(HIDDEN) == 4
    locked = re.findall(r"^([\w-]+)==", (PROJECT / "requirements.lock").read_text(), re.MULTILINE)
    assert {name.partition("-")[0] for name in locked}.isdisjoint(HIDDEN)
