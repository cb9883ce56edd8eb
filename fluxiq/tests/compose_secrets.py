"""The secrets of deploy/compose, made as its reader makes them."""

import subprocess
from pathlib import Path

from fluxiq.tests.engines import PROJECT


def make_secrets(directory: Path) -> None:
    """Make those that are missing in this directory."""
    script = PROJECT / "deploy" / "compose" / "make-secrets.sh"
    subprocess.run(["sh", script, directory], check=True)  # noqa: S607 - any sh
