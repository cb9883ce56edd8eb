"""The secrets of a local run, made once and added to by later versions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fluxiq.tests.engines import PROJECT

pytestmark = pytest.mark.once

NAMES = ["SECRET_KEY", "JWT_SIGNING_KEYS", "API_KEY_PEPPERS", "AUDIT_KEYS", "MFA_KEYS"]
SCRIPT = """
import sys
from pathlib import Path
from fluxiq.settings.local import make_missing_secrets
make_missing_secrets(Path(sys.argv[1]))
"""


def make(path: Path) -> "subprocess.Popen[bytes]":
    """A process that writes what is missing. Its own settings find all they need."""
    given = dict.fromkeys(NAMES, f"k1:{'x' * 48}")
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(path)],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], **given},
    )


def test_of_many_processes_one_makes_the_file_and_all_find_the_same(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secrets.env"
    for process in [make(path) for _ in range(4)]:
        assert process.wait(30) == 0
    lines = path.read_text().splitlines()
    assert sorted(line.partition("=")[0] for line in lines) == sorted(NAMES)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_later_version_adds_what_it_needs_and_leaves_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    path.write_text("SECRET_KEY=of-before\nJWT_SIGNING_KEYS=local-1:of-before")  # no last newline
    assert make(path).wait(30) == 0
    written = path.read_text()
    assert written.startswith("SECRET_KEY=of-before\nJWT_SIGNING_KEYS=local-1:of-before\n")
    assert [line.partition("=")[0] for line in written.splitlines()[2:]] == NAMES[2:]
