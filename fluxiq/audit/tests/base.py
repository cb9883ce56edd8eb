"""What the tests of the trail do to it."""

import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.db import connection
from django.test import TestCase

from fluxiq import ids
from fluxiq.audit import chain, export, exported, sealing, verification
from fluxiq.audit.models import AuditEvent, Kind, record
from fluxiq.audit.verification import Head, Report
from fluxiq.tests.trail import triggers_off


class TrailTestCase(TestCase):
    """Writes events, seals them, and does to them what only who holds the database can."""

    def write(self, count: int = 1, **fields: Any) -> list[AuditEvent]:
        """So many events, told apart by their number."""
        return [
            record(Kind.STAFF_ACTION, object_id="x", after={"number": number}, **fields)
            for number in range(count)
        ]

    def sealed(self, count: int) -> list[str]:
        """The ids of so many new events, in the order in which they were sealed."""
        before, _ = chain.head()
        self.write(count)
        sealing.seal()
        after, _ = chain.head()
        return [link.event_id for link in chain.links(before + 1, after)]

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run SQL past the models."""
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall()) if cursor.description else []

    def tamper(self, statement: str, *parameters: Any) -> None:
        """Run SQL past the models and the triggers."""
        with triggers_off():
            self.sql(statement, *parameters)

    def verify(self, expected: Head | None = None) -> Report:
        """What a verification finds."""
        return verification.verify(expected)

    def faults(self, expected: Head | None = None) -> Sequence[tuple[int | None, str]]:
        """Where a verification finds faults: (position, event id)."""
        return [(fault.position, fault.event_id) for fault in self.verify(expected).faults]

    def put_in(self, **values: Any) -> str:
        """A row of the events' table that nobody wrote; its id."""
        event_id = ids.new(ids.Prefix.EVENT)
        row = {
            "id": event_id, "kind": "staff.action", "at": "2026-01-01 00:00:00+00:00",
            "actor_kind": "staff", "actor_id": "", "merchant_id": "", "object_id": "",
            "address": "", "user_agent": "", "request_id": "", "before": "{}", "after": "{}",
            **values,
        }  # fmt: skip
        marks = ", ".join(["%s"] * len(row))
        self.tamper(
            f"INSERT INTO audit_auditevent ({', '.join(row)}) VALUES ({marks})",
            *row.values(),
        )
        return event_id


class ExportTestCase(TrailTestCase):
    """Exports, to files that go with the test."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="fluxiq-export-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def export(self, name: str = "a", **options: Any) -> list[dict[str, Any]]:
        """Export to a file of that name: its lines."""
        path = self.directory / name
        export.export(path, **options)
        return [json.loads(line) for line in path.read_text().splitlines()]

    def read(self, lines: list[dict[str, Any]], report: Report | None = None) -> Report:
        """What a verification of these lines finds."""
        text = "".join(json.dumps(line) + "\n" for line in lines)
        return exported.verify(io.StringIO(text), report)
