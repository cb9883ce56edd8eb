"""Migrations that run while the release before them serves: nothing is taken from it."""

import shutil
from pathlib import Path

import pytest
from django.db import connection
from django.test import override_settings
from django_migration_linter import MigrationLinter

from fluxiq.tests.engines import PROJECT

# sqlmigrate alters tables on SQLite in no transaction, and what locks is told of PostgreSQL alone.
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="judged on PostgreSQL: TEST_ENGINES=servers"
    ),
]

APPS = ("accounts", "audit", "authn", "merchants")

# From before the first release, when no table had rows: these may lock one. Takes no new entry.
BASELINE = {
    ("accounts", "0003_console"),
    ("audit", "0003_seals"),
    ("audit", "0004_triggers"),
    ("audit", "0005_by_actor"),
    ("authn", "0004_console"),
    ("merchants", "0003_console"),
}

_HEADER = """
from django.db import migrations, models
from django.db.models import Value


class Migration(migrations.Migration):
    dependencies = [("merchants", "0003_console")]
"""

REFUSED = {
    "a column is dropped": 'migrations.RemoveField("merchant", "require_mfa")',
    "a table is dropped": 'migrations.DeleteModel("PaymentAccount")',
    "a column is renamed": 'migrations.RenameField("merchant", "name", "title")',
    "a table is renamed": 'migrations.RenameModel("PaymentAccount", "Account")',
    "a column must be filled, by whom does not know it": (
        'migrations.AddField("merchant", "note", models.CharField(max_length=9, default="x"))'
    ),
    "a column's type changes": (
        'migrations.AlterField("merchant", "status", models.IntegerField())'
    ),
    "an index holds up who writes": (
        'migrations.AddIndex("merchant", models.Index(fields=["name"], name="by_name"))'
    ),
}

ALLOWED = {
    "a column that may be empty": (
        'migrations.AddField("merchant", "note", models.CharField(max_length=9, null=True))'
    ),
    "a column that the database fills": (
        'migrations.AddField("merchant", "note", models.CharField(max_length=9, db_default="x"))'
    ),
    "a table": 'migrations.CreateModel("Note", [("id", models.BigAutoField(primary_key=True))])',
}


def linter() -> MigrationLinter:
    """Everything that it finds counts, but for how a variable of a migration is named."""
    return MigrationLinter(
        no_cache=True,
        no_output=True,
        all_warnings_as_errors=True,
        exclude_migration_tests=["RUNPYTHON_MODEL_VARIABLE_NAME"],
    )


def is_refused(app: str, name: str) -> bool:
    """Whether that migration is not to be run while the code of before serves."""
    judge = linter()
    judge.lint_migration(judge.migration_loader.disk_migrations[app, name])
    assert judge.nb_total == 1
    return judge.nb_erroneous == 1


def is_refused_after_ours(operation: str, directory: Path, patch: pytest.MonkeyPatch) -> bool:
    """The same of a migration of `merchants` that would follow those that there are."""
    package = f"next_{directory.name.replace('-', '_')}"
    shutil.copytree(PROJECT / "merchants" / "migrations", directory / package)
    text = f"{_HEADER}    operations = [{operation}]\n"
    (directory / package / "0004_next.py").write_text(text)
    patch.syspath_prepend(directory)
    with override_settings(MIGRATION_MODULES={"merchants": package}):
        return is_refused("merchants", "0004_next")


def test_each_migration_lets_the_release_before_it_serve() -> None:
    every = {key for key in linter().migration_loader.disk_migrations if key[0] in APPS}
    assert every >= BASELINE
    assert {key for key in every - BASELINE if is_refused(*key)} == set()


def test_those_from_before_the_first_release_are_refused_for_what_they_lock_alone() -> None:
    judge = MigrationLinter(no_cache=True, no_output=True)
    for key in sorted(BASELINE):
        judge.lint_migration(judge.migration_loader.disk_migrations[key])
    assert (judge.nb_total, judge.nb_erroneous) == (len(BASELINE), 0)
    assert {key for key in BASELINE if not is_refused(*key)} == set(), "no longer needed"


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_release_before_could_not_live_with_is_refused(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_refused_after_ours(REFUSED[what], tmp_path, monkeypatch)


@pytest.mark.parametrize("what", ALLOWED)
def test_what_it_could_live_with_is_allowed(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_refused_after_ours(ALLOWED[what], tmp_path, monkeypatch)
