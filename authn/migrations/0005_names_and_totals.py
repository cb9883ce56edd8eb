"""Trigrams of names for PostgreSQL, by which lists of millions are searched, and hourly totals."""

from typing import Any

from django.db import migrations
from django.db.models import Sum

NAMED = {
    "authn_apikey": "api_key_by_name",
    "merchants_merchant": "merchant_by_name",
    "merchants_paymentaccount": "account_by_name",
    "accounts_user": "user_by_name",
}


def keep_trigrams(apps: Any, schema_editor: Any) -> None:
    """Django's `icontains` compares UPPER(name::text). SQLite has no such index, and few rows."""
    if schema_editor.connection.vendor != "postgresql":
        return
    # A trusted extension: who may create in the database may create it. Elsewhere an
    # administrator does so beforehand, and this does nothing.
    schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    for table, index in NAMED.items():
        schema_editor.execute(
            f"CREATE INDEX {index} ON {table} USING gin (UPPER(name::text) gin_trgm_ops)"
        )


def drop_trigrams(apps: Any, schema_editor: Any) -> None:
    """The extension stays: others may use it."""
    if schema_editor.connection.vendor == "postgresql":
        for index in NAMED.values():
            schema_editor.execute(f"DROP INDEX {index}")


def add_up(apps: Any, schema_editor: Any) -> None:
    """What was counted before there were totals."""
    usage, total = apps.get_model("authn", "ApiKeyUsage"), apps.get_model("authn", "UsageTotal")
    hours = (
        usage.objects.order_by("hour")
        .values("hour")
        .annotate(a=Sum("admitted"), r=Sum("refused"), li=Sum("limited"))
    )
    total.objects.bulk_create(
        [
            total(hour=row["hour"], admitted=row["a"], refused=row["r"], limited=row["li"])
            for row in hours.iterator()
        ],
        batch_size=1000,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("authn", "0004_console"),
        ("accounts", "0003_console"),
        ("merchants", "0003_console"),
    ]

    operations = [
        migrations.RunPython(keep_trigrams, drop_trigrams),
        migrations.RunPython(add_up, migrations.RunPython.noop),
    ]
