"""The audit trail as only a test may treat it: past its triggers, as who holds the database can."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from fluxiq.tests.engines import PROJECT

TABLES = ("audit_auditevent", "audit_seal", "audit_checkpoint", "audit_prune")
TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name GLOB 'audit_*'"


@contextmanager
def triggers_off() -> Iterator[None]:
    """Without the triggers for a block; they are back after it, as they were."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # or no table can be altered
            for table in TABLES:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            yield
            cursor.execute("SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgenabled = 'D'")
            for table, name in cursor.fetchall():
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
        else:
            cursor.execute(TRIGGERS)
            triggers = cursor.fetchall()
            for name, _ in triggers:
                cursor.execute(f"DROP TRIGGER {name}")
            yield
            for _, sql in triggers:
                cursor.execute(sql)


def grants() -> str:
    """What the manual tells to run, so that the role may prune and nothing else."""
    found = re.search(
        r"```sql\n(CREATE ROLE fluxiq_retention.*?)```",
        (PROJECT / "docs" / "operate.md").read_text(),
        re.S,
    )
    assert found is not None
    return found[1]
