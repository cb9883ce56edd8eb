"""A database that lost what came since its backup.

The backup is a savepoint, and the restore goes back to it: only the exports are left.
"""

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import transaction

from authn.tests.commands import CommandTestCase
from fluxiq.audit import export

PASSWORD = "a password that was known"
FRESH = "a password that nobody knew"


class RestorationCase(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        directory = tempfile.TemporaryDirectory(prefix="fluxiq-replay-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.names = (f"{number:03}" for number in itertools.count())
        self.export()

    def export(self) -> Path:
        """A new export of what has come since the last."""
        path = self.directory / next(self.names)
        export.export(path)
        return path

    def lost(self, *changes: Callable[[], object]) -> Path:
        """Do this after a backup, export, and restore the backup: the export."""
        backup = transaction.savepoint()
        for change in changes:
            change()
        path = self.export()
        transaction.savepoint_rollback(backup)
        for user in (self.olga, self.mario, self.otto, self.ana, self.root, self.sam):
            user.refresh_from_db()
        self.bakery.refresh_from_db()
        return path

    def sign_in_with(self, password: str) -> Any:
        """Olga's sign-in."""
        body = {"document": self.olga.document, "password": password}
        return self.post("/auth/login", None, body)

    def root_principal(self) -> Any:
        """May change every role."""
        self.sign_in(self.root)
        return self.root.sessions.latest("id").principal()
