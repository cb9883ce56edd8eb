"""A small file system in memory, which can be filled."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEBIBYTE = 1024 * 1024


class Disk:
    """One of those, or but a directory where this user may not mount any."""

    def __init__(self, path: Path, *, is_small: bool) -> None:
        self.path = path
        self._is_small = is_small
        self._filler = path / "filler"

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave no byte free in a block. The test is skipped where that would fill the machine's
        disk."""
        if not self._is_small:
            pytest.skip("a file system can be mounted by root alone")
        try:
            self._fill()
            yield
        finally:
            self._filler.unlink()

    def _fill(self) -> None:
        with self._filler.open("ab", buffering=0) as filler:
            for size in (MEBIBYTE, 4096):
                try:
                    while True:
                        filler.write(bytes(size))
                except OSError:
                    continue


@contextmanager
def disk(size: str) -> Iterator[Disk]:
    """A new one."""
    with tempfile.TemporaryDirectory(prefix="fluxiq-disk-") as path:
        options = f"size={size},mode=0700,uid={os.geteuid()}"
        mount = ["mount", "-t", "tmpfs", "-o", options, "fluxiq", path]
        is_small = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        try:
            yield Disk(Path(path), is_small=is_small)
        finally:
            if is_small:
                unmount = ["umount", path]
                subprocess.run(unmount, check=True)
