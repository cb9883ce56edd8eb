"""The next release, as far as the database goes: one migration that this code knows nothing of."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import psycopg

from fluxiq.tests.engines import PROJECT
from fluxiq.tests.served import Service

ADDED_COLUMN = "purpose"

_SETTINGS = """
from fluxiq.settings.local import *

MIGRATION_MODULES = {"merchants": "next_release.merchants"}
"""
_MIGRATION = f"""
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("merchants", "0003_console")]
    operations = [
        migrations.AddField(
            "paymentaccount", "{ADDED_COLUMN}", models.CharField(max_length=9, db_default="general")
        )
    ]
"""


def next_release(service: Service, directory: Path) -> Mapping[str, str]:
    """The environment in which `manage.py` is the next release's, written to that directory."""
    package = directory / "next_release"
    shutil.copytree(PROJECT / "merchants" / "migrations", package / "merchants")
    (package / "__init__.py").write_text("")
    (package / "settings.py").write_text(_SETTINGS)
    (package / "merchants" / "0004_next.py").write_text(_MIGRATION)
    path = {"PYTHONPATH": str(directory), "DJANGO_SETTINGS_MODULE": "next_release.settings"}
    return {**os.environ, **service.environment, **path}


def columns(service: Service) -> set[str]:
    """Those of the table of payment accounts, which the migration adds to."""
    with psycopg.connect(service.environment["DATABASE_URL"]) as connection:
        found = connection.execute(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_name = 'merchants_paymentaccount'"
        )
        return {name for (name,) in found}
