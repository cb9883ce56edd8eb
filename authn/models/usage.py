"""How much API keys are used: counts by the hour, moved here from where requests are counted."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import connection, models, transaction
from django.utils import timezone

from authn.models.api_key import ApiKey

KEPT = timedelta(days=400)
# A machine that comes back later than this, having died as it moved a batch, adds it once more.
BATCHES_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class HourOfUse:
    """What to add to the counts of one key and hour."""

    api_key_id: str
    hour: datetime
    admitted: int
    refused: int
    limited: int


class ApiKeyUsageQuerySet(models.QuerySet["ApiKeyUsage"]):
    """Questions about use."""

    def between(self, start: datetime, end: datetime) -> Self:
        """Every hour that the time from `start` until `end` touches, oldest first."""
        first = start.replace(minute=0, second=0, microsecond=0)
        return self.filter(hour__gte=first, hour__lt=end).order_by("hour")


_ApiKeyUsageManager = models.Manager.from_queryset(ApiKeyUsageQuerySet)


class ApiKeyUsageManager(_ApiKeyUsageManager["ApiKeyUsage"]):
    """Adds up, exactly once."""

    # bulk_create(update_conflicts) can only replace. A key that is gone counts for nobody.
    _ADD = """
        INSERT INTO {table} (api_key_id, hour, admitted, refused, limited)
        SELECT id, %s, %s, %s, %s FROM {keys} WHERE id = %s
        ON CONFLICT (api_key_id, hour) DO UPDATE SET
            admitted = {table}.admitted + excluded.admitted,
            refused = {table}.refused + excluded.refused,
            limited = {table}.limited + excluded.limited
    """

    _ADD_TO_TOTAL = """
        INSERT INTO {table} (hour, admitted, refused, limited) VALUES (%s, %s, %s, %s)
        ON CONFLICT (hour) DO UPDATE SET
            admitted = {table}.admitted + excluded.admitted,
            refused = {table}.refused + excluded.refused,
            limited = {table}.limited + excluded.limited
    """

    @transaction.atomic
    def add(self, batch_id: str, hours: Iterable[HourOfUse]) -> bool:
        """Add these counts, unless a batch of that id was added before: return whether it was not.

        Where two add the same batch at once, the second waits for the first.
        """
        table = MovedBatch._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} (id, moved_at) VALUES (%s, %s) ON CONFLICT DO NOTHING",  # noqa: S608 - the model's own
                [batch_id, _stored(timezone.now())],
            )
            if not cursor.rowcount:
                return False
            # In one order, so that two who add do not wait for each other.
            in_order = sorted(hours, key=lambda row: (row.api_key_id, row.hour))
            cursor.executemany(
                self._ADD.format(table=self.model._meta.db_table, keys=ApiKey._meta.db_table),
                [
                    (_stored(row.hour), row.admitted, row.refused, row.limited, row.api_key_id)
                    for row in in_order
                ],
            )
            totals: dict[datetime, list[int]] = {}
            for row in in_order:
                total = totals.setdefault(row.hour, [0, 0, 0])
                for column, count in enumerate((row.admitted, row.refused, row.limited)):
                    total[column] += count
            cursor.executemany(
                self._ADD_TO_TOTAL.format(table=UsageTotal._meta.db_table),
                [(_stored(hour), *counts) for hour, counts in sorted(totals.items())],
            )
        return True


def _stored(moment: datetime) -> Any:
    """The moment as the database in use takes it."""
    return connection.ops.adapt_datetimefield_value(moment)


class ApiKeyUsage(models.Model):
    """The requests of one key in one hour."""

    api_key = models.ForeignKey(
        ApiKey, on_delete=models.CASCADE, related_name="usage", db_index=False
    )
    hour = models.DateTimeField(db_index=True)
    # Signed: a refusal may be moved before what it corrects, where they were counted apart.
    admitted = models.IntegerField()
    refused = models.IntegerField()
    limited = models.IntegerField()

    objects = ApiKeyUsageManager()

    class Meta:
        ordering = ("hour",)
        constraints = (
            models.UniqueConstraint(fields=["api_key", "hour"], name="one_usage_per_key_and_hour"),
        )

    def __str__(self) -> str:
        return f"{self.api_key_id} in the hour of {self.hour:%Y-%m-%d %H:%M}"


class UsageTotal(models.Model):
    """The requests of all keys in one hour: what their many rows add up to."""

    hour = models.DateTimeField(primary_key=True)
    admitted = models.BigIntegerField()
    refused = models.BigIntegerField()
    limited = models.BigIntegerField()

    def __str__(self) -> str:
        return f"the hour of {self.hour:%Y-%m-%d %H:%M}"


class MovedBatch(models.Model):
    """A batch of counts that was added: written with them, so that none is added twice."""

    id = models.CharField(primary_key=True, max_length=22)
    moved_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.id
