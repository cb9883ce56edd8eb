"""Hides from what the tests start that which only they brought along.

Python imports this at its start, where this folder is on the path. Libraries take these up where
they are found, so that a service under test would do what none in production does, and take a
third longer to start.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

HIDDEN = frozenset({"jinja2", "opentelemetry", "requests", "rich"})


class _Hiding(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        """Raise ModuleNotFoundError for what is hidden; leave all else to the others."""
        if path is None and fullname in HIDDEN:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


sys.meta_path.insert(0, _Hiding())
