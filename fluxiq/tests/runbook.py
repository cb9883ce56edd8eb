"""The blocks of docs/runbook.md that are marked as rehearsed, and running them as they stand."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from fluxiq.tests.engines import PROJECT

RUNBOOK = PROJECT / "docs" / "runbook.md"
_BLOCK = re.compile(r"<!-- rehearsed: ([^\n]+) -->\n```sh\n(.+?)```", re.DOTALL)


def blocks() -> dict[str, str]:
    """The rehearsed blocks, by their names."""
    return dict(_BLOCK.findall(RUNBOOK.read_text()))


def run(*names: str, directory: Path, environment: Mapping[str, str], programs: Path) -> str:
    """Run these blocks as one script, in that directory: what it printed.

    `manage.py` is the project's, `python` this one, and `programs` goes first in the PATH.
    """
    found = blocks()
    script = "\n".join(found[name] for name in names)
    done = subprocess.run(
        ["sh", "-eu", "-c", script],  # noqa: S607 - the one of the system
        cwd=directory,
        env={
            **os.environ,
            **environment,
            "PATH": f"{Path(sys.executable).parent}:{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(PROJECT),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
