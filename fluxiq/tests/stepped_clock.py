"""A clock of the day that can be stepped, for processes that are started under it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from fluxiq.tests.engines import PROJECT


class Clock:
    """The clock of the processes that are started with its environment; without a C compiler, the
    machine's own, which nobody steps."""

    def __init__(self, directory: Path) -> None:
        self.environment: dict[str, str] = {}
        self._file = directory / "offset"
        compiler = shutil.which("cc")
        if compiler is not None:
            library = directory / "stepped_clock.so"
            source = PROJECT / "fluxiq" / "tests" / "stepped_clock.c"
            subprocess.run(
                [compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True
            )
            self.environment = {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(self._file)}
            self.set(0)

    def set(self, offset: int) -> None:
        """Let it be so many seconds off from now on. The test is skipped where it cannot be."""
        if not self.environment:
            pytest.skip("no clock that can be stepped: there is no C compiler")
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset}")
        new.replace(self._file)
