"""Numbers that a request adds to in a few hundred nanoseconds, and that outlive their process.

A cell is a few integers in a row. Each thread has its own, so that adding takes no lock; those of a
process lie in one file in shared memory, so that another process can read them at any time and
nothing is lost when this one is killed. Until `begin` names a file, they lie in this process alone.

The file is made of chunks, and a chunk of records: the length of the key in bytes, the number of
integers, the key (JSON) filled up with spaces to a multiple of eight, the integers. A length of 0
ends the chunk.
"""

import fcntl
import json
import logging
import mmap
import os
import threading
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from fluxiq.metrics.families import Family

logger = logging.getLogger(__name__)

WORD = 8  # bytes of an integer
CHUNK = 64 * 1024  # bytes; a multiple of what memory is mapped in
HEADER = 2  # words

Labels = tuple[str | int, ...]
Key = tuple[str | int, ...]  # the family's name and the labels


class Cell(Protocol):
    """Integers in a row."""

    def __getitem__(self, index: int, /) -> int: ...
    def __setitem__(self, index: int, value: int, /) -> None: ...


Cells = dict[Key, Cell]


class CellFile:
    """The file of this process. Who finds it unlocked knows that the process is gone."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._lock = threading.Lock()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._chunks = 0
        self._used = CHUNK // WORD
        self._bytes = memoryview(b"")
        self._words = self._bytes.cast("q")

    def new(self, key: Key, size: int) -> Cell:
        """A cell of zeros. Raises OSError where there is no room."""
        name = json.dumps(key).encode()
        name += b" " * (-len(name) % WORD)
        words = HEADER + len(name) // WORD + size
        with self._lock:
            if self._used + words > CHUNK // WORD:
                self._grow()
            start, self._used = self._used, self._used + words
            first = start + words - size
            self._words[start + 1] = size
            self._bytes[(start + HEADER) * WORD : first * WORD] = name
            self._words[start] = len(name)  # last: from here on it is read
            return self._words[first : first + size]

    def _grow(self) -> None:
        offset = self._chunks * CHUNK
        # Room that is only promised would kill the process at the first write that finds none.
        os.posix_fallocate(self._descriptor, offset, CHUNK)
        self._bytes = memoryview(mmap.mmap(self._descriptor, CHUNK, offset=offset))
        self._words = self._bytes.cast("q")
        self._chunks += 1
        self._used = 0

    def abandon(self) -> None:
        """Let go of it, in a child that was forked: it is the parent's."""
        os.close(self._descriptor)


def records(content: bytes) -> Iterator[tuple[Key, list[int]]]:
    """The cells of a file, as they were when it was read."""
    for start in range(0, len(content) - CHUNK + 1, CHUNK):
        words = memoryview(content)[start : start + CHUNK].cast("q")
        at = 0
        while at < len(words) and words[at]:
            length, size = words[at], words[at + 1]
            first = at + HEADER + length // WORD
            name = content[start + (at + HEADER) * WORD : start + first * WORD]
            yield tuple(json.loads(name)), list(words[first : first + size])
            at = first + size


_file: CellFile | None = None
_spare: list[Cells] = []  # of threads that have ended
_full = False


class _Holder:
    """The cells of one thread. When it ends, the next one goes on with them."""

    def __init__(self) -> None:
        self.cells: Cells = {}
        with suppress(IndexError):
            self.cells = _spare.pop()
        self._spare = _spare

    def __del__(self) -> None:
        self._spare.append(self.cells)


class _Thread(threading.local):
    def __init__(self) -> None:
        self.holder = _Holder()
        self.cells = self.holder.cells


thread = _Thread()


def new(cells: Cells, family: Family, labels: Labels) -> Cell:
    """A new cell of this thread (or of whom `cells` are). Without room it is counted in vain."""
    global _full  # noqa: PLW0603 - said once
    key = (family.name, *labels)
    cell: Cell | None = None
    if _file is not None:
        try:
            cell = _file.new(key, family.size)
        except OSError as error:
            if not _full:
                logger.error("metrics are not counted: %s", error)
            _full = True
    if cell is None:
        cell = array("q", bytes(WORD * family.size))
    cells[key] = cell
    return cell


def begin(path: Path) -> None:
    """Keep this process's cells in a new file, from zero. Raises OSError."""
    global _file, _full
    _file, _full = CellFile(path), False
    renew()


def renew() -> None:
    """Forget every cell that was handed out."""
    global _spare, thread  # noqa: PLW0603 - of one process
    _spare = []
    thread = _Thread()
    shared.clear()


def _after_fork() -> None:
    global _file  # noqa: PLW0603 - the parent's
    if _file is not None:
        _file.abandon()
        _file = None
        renew()


os.register_at_fork(after_in_child=_after_fork)

shared: Cells = {}  # of the whole process: for what is set, and not added to
