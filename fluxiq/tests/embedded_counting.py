"""Counters in a file of the test's own, and processes that use it too."""

import subprocess
import sys
from pathlib import Path

import pytest

from fluxiq.counters import EmbeddedCounters

PROJECT = Path(__file__).resolve().parents[2]


def check(counters: EmbeddedCounters, key: str = "bucket") -> int:
    """Count as django-ratelimit does."""
    return 1 if counters.add(key, 1, 65) else counters.incr(key)


def run(script: str, *arguments: str | Path) -> str:
    """Run Python in a process of its own and return what it printed."""
    command = [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, timeout=10, check=False
    )
    assert done.returncode == 0, done.stderr
    sys.stderr.write(done.stderr)  # of its children too, for whoever looks at a failure
    return done.stdout


class InAFile:
    """The fixtures of a class of tests: where the file is to be, and counters in it."""

    @pytest.fixture
    def location(self, tmp_path: Path) -> Path:
        """In a directory that is not there yet."""
        return tmp_path / "private" / "counters.sqlite3"

    @pytest.fixture
    def counters(self, location: Path) -> EmbeddedCounters:
        """What counts there."""
        return EmbeddedCounters(location, {})
