"""What each worker does for the trail beside its requests: it tells the counts, and seals."""

from fluxiq.audit import sealing, tallies
from fluxiq.background import Recurring

PERIOD = 1.0  # seconds; as long as an event may wait for its seal


def work() -> None:
    """Store and tell what was counted, and seal what waits."""
    tallies.store()
    tallies.tell()
    sealing.seal()


_recurring = Recurring("the audit trail", work, period=PERIOD)


def start() -> None:
    """Begin in this process, unless begun."""
    _recurring.start()
