"""How far the seals are behind, for `/metrics`, and so whether the database answers at all."""

import logging

from django.db import Error
from django.utils import timezone
from ulid import ULID

from fluxiq.audit.models import PendingEvent
from fluxiq.metrics.exposition import Gauges
from fluxiq.metrics.families import DEGRADED, UNSEALED, UNSEALED_AGE

logger = logging.getLogger(__name__)

COUNTED_TO = 100_000  # an alarm long before, and a scrape must not take long


def look() -> Gauges:
    """The events without a seal, the age of the oldest, and whether the database is away.

    The age is by the event's own time. One that tells of a minute is of that minute's beginning.
    """
    away = (DEGRADED, ("database",))
    try:
        waiting = PendingEvent.objects.order_by("pk")
        oldest = waiting.values_list("pk", flat=True).first()
        count = waiting[:COUNTED_TO].count()
    except Error as error:
        logger.warning("the database does not answer the metrics: %s", type(error).__name__)
        return {away: 1.0}
    age = 0.0
    if oldest is not None:
        began = ULID.from_str(oldest.partition("_")[2]).datetime
        age = max(0.0, (timezone.now() - began).total_seconds())
    return {(UNSEALED, ()): float(count), (UNSEALED_AGE, ()): age, away: 0.0}
