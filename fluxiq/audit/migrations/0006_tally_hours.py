from collections import Counter
from datetime import timedelta
from typing import Any

from django.db import migrations, models
from django.utils import timezone

from fluxiq import ids

TALLIED = ("sign_in.failed", "sign_in.throttled", "permission.refused")
SHOWN = timedelta(days=32)  # the console's month, and a little


def add_up(apps: Any, schema_editor: Any) -> None:
    """Add up what the trail holds of the days that are shown."""
    since = ids.first_at(ids.Prefix.EVENT, timezone.now() - SHOWN)
    events = apps.get_model("audit", "AuditEvent").objects.using(schema_editor.connection.alias)
    counts: Counter[Any] = Counter()
    for kind in TALLIED:
        found = events.filter(kind=kind, pk__gte=since).order_by("pk").values_list("at", "after")
        for at, after in found.iterator():
            counts[kind, at.replace(minute=0, second=0, microsecond=0)] += int(after["count"])
    hours = apps.get_model("audit", "TallyHour")
    hours.objects.using(schema_editor.connection.alias).bulk_create(
        [hours(kind=kind, hour=hour, count=count) for (kind, hour), count in counts.items()],
        batch_size=1000,
    )


class Migration(migrations.Migration):
    dependencies = [("audit", "0005_by_actor")]

    operations = [
        migrations.CreateModel(
            name="TallyHour",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=40)),
                ("hour", models.DateTimeField()),
                ("count", models.BigIntegerField()),
            ],
            options={"default_permissions": ()},
        ),
        migrations.AddConstraint(
            model_name="tallyhour",
            constraint=models.UniqueConstraint(
                fields=("kind", "hour"), name="one_tally_per_kind_and_hour"
            ),
        ),
        migrations.RunPython(add_up, migrations.RunPython.noop),
    ]
