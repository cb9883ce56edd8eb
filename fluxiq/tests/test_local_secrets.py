"""The secrets of a local run are made once, and added to when there are more of them."""

import os
import subprocess
import sys
from pathlib import Path

from fluxiq.tests.engines import PROJECT

MAKE = (
    "import sys; from pathlib import Path; from fluxiq.settings.local import make_secrets_once;"
    " make_secrets_once(Path(sys.argv[1]))"
)
NAMES = {"SECRET_KEY", "JWT_SIGNING_KEYS", "API_KEY_PEPPERS", "AUDIT_KEYS"}
# So that importing the settings makes none of their own.
GIVEN = dict.fromkeys(NAMES, "x" * 40)


def make(path: Path) -> "subprocess.Popen[bytes]":
    """A process that makes what is missing in that file."""
    environment = {**os.environ, **GIVEN, "DJANGO_SETTINGS_MODULE": "fluxiq.settings.local"}
    return subprocess.Popen([sys.executable, "-c", MAKE, str(path)], cwd=PROJECT, env=environment)


def secrets_in(path: Path) -> dict[str, str]:
    """The secrets by name; each stands once."""
    lines = path.read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines)
    assert len(found) == len(lines)
    return found


def test_many_processes_make_one_file_that_nobody_else_reads(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secrets.env"
    processes = [make(path) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert path.stat().st_mode & 0o777 == 0o600
    found = secrets_in(path)
    assert set(found) >= NAMES
    assert all(len(value) >= 40 for value in found.values())


def test_an_older_file_keeps_what_it_has_and_gets_what_came_later(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    path.write_text("SECRET_KEY=old\nAPI_KEY_PEPPERS=p:old\n")
    assert make(path).wait(60) == 0
    found = secrets_in(path)
    assert set(found) >= NAMES
    assert (found["SECRET_KEY"], found["API_KEY_PEPPERS"]) == ("old", "p:old")
