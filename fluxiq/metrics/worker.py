"""What each worker does for `/metrics` beside its requests."""

from pathlib import Path

from django.conf import settings

from fluxiq import metrics
from fluxiq.background import Recurring
from fluxiq.metrics import endpoint, listener, shared
from fluxiq.metrics.families import BREAKER_OPEN
from fluxiq.metrics.sources import look_at_pool

PERIOD = 1.0  # seconds between looks at what is not counted

_recurring = Recurring("the metrics of this worker", look_at_pool, period=PERIOD)


def start() -> None:
    """Count where others can read it, and answer scrapers. Nothing where nobody may ask.

    Raises OSError where there is no room in shared memory, or the port is taken.
    """
    listening = listener.open_once()
    if listening is None and not settings.METRICS_TOKEN:
        return
    shared.begin(Path(settings.METRICS_DIRECTORY))
    metrics.put(BREAKER_OPEN, 0)
    look_at_pool()
    _recurring.start()
    if listening is not None:
        endpoint.Server(listening).serve()
