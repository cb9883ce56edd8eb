"""The cells of all processes of this host, read and added up. No Django in it.

Each process that counts has a file in one directory (`fluxiq.metrics.cells`). What a process that
is gone had counted is added to one more file, the past, and its own is removed: so nothing goes
backwards, and the directory does not grow.
"""

import fcntl
import json
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from fluxiq import metrics
from fluxiq.metrics import cells
from fluxiq.metrics.cells import Key, records
from fluxiq.metrics.families import COUNTED, OF_WORKERS, WORKERS_STARTED

logger = logging.getLogger(__name__)

# Files of a version that counted otherwise are left out, and removed once nobody writes them.
_SHAPES = [(family.name, family.labels, family.bounds) for family in (*COUNTED, *OF_WORKERS)]
LAYOUT = f"{crc32(repr(_SHAPES).encode()):08x}"
_OF_THE_LIVING = frozenset(family.name for family in OF_WORKERS)

Totals = dict[Key, list[int]]


@dataclass
class Read:
    """What was counted on this host and what its living workers tell of themselves; how many
    workers there are."""

    totals: Totals = field(default_factory=dict)
    workers: int = 0


def begin(directory: Path) -> None:
    """Keep what this process counts from now on in a file of that directory, which is made if need
    be. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _exclusive(directory):
        cells.begin(directory / f"{LAYOUT}-{os.getpid()}-{secrets.token_hex(4)}.cells")
    metrics.add(WORKERS_STARTED)


def read(directory: Path) -> Read:
    """Everything counted so far. Raises OSError."""
    with _exclusive(directory):
        past, folded = _load_past(directory)
        ended: list[Path] = []
        found = Read(past)
        living: Totals = {}
        for path in sorted(directory.glob("*.cells")):
            if path.name in folded:
                path.unlink()  # who added it to the past was killed before this
            elif _lives(path):
                if path.name.startswith(LAYOUT):
                    _add(living, path)
                    found.workers += 1
            else:
                ended.append(path)
        for path in ended:
            if path.name.startswith(LAYOUT):
                _add(past, path, but=_OF_THE_LIVING)
        if ended:
            _fold(directory, past, ended)
    for key, values in living.items():
        _add_values(found.totals, key, values)
    return found


def _fold(directory: Path, past: Totals, ended: list[Path]) -> None:
    """Write down the past, with the names of whose files are in it, and remove these."""
    names = [path.name for path in ended]
    content = json.dumps({"folded": names, "totals": [*past.items()]})
    written = directory / f"{LAYOUT}.new"
    try:
        written.write_text(content)
        written.rename(directory / f"{LAYOUT}.past")
    except OSError as error:
        # They stay where they are, and are added anew each time.
        logger.error("metrics of workers that ended are not put together: %s", error)
        return
    for path in ended:
        path.unlink()
    for path in directory.glob("*.past"):
        if path.name != f"{LAYOUT}.past":
            path.unlink()


def _load_past(directory: Path) -> tuple[Totals, frozenset[str]]:
    try:
        past = json.loads((directory / f"{LAYOUT}.past").read_text())
    except FileNotFoundError:
        return {}, frozenset()
    return {tuple(key): values for key, values in past["totals"]}, frozenset(past["folded"])


def _add(totals: Totals, path: Path, but: frozenset[str] = frozenset()) -> None:
    for key, values in records(path.read_bytes()):
        if key[0] not in but:
            _add_values(totals, key, values)


def _add_values(totals: Totals, key: Key, values: list[int]) -> None:
    before = totals.get(key)
    totals[key] = values if before is None else [a + b for a, b in zip(before, values, strict=True)]


def _lives(path: Path) -> bool:
    """Whether the process that writes this file does: it holds its lock until then."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    """One at a time: no file begins, is read or goes meanwhile."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
