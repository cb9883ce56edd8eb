"""Exact integer counters for rate limits and throttles, as Django cache backends.

`EmbeddedCounters` counts in an SQLite file, for all processes of one machine. `SharedCounters`
counts in Redis or Valkey, for all machines, and on its own host while the server is away. Both
also keep tallies on their way to a database.
"""

from fluxiq.counters.breaker import Breaker
from fluxiq.counters.embedded import EmbeddedCounters, default_location
from fluxiq.counters.memory import Asked, Memory, Tallied
from fluxiq.counters.naming import PlainName, tag_of
from fluxiq.counters.shared import SharedCounters
from fluxiq.counters.tallies import Batch, Counters, Tally, of_requests

__all__ = [
    "Asked",
    "Batch",
    "Breaker",
    "Counters",
    "EmbeddedCounters",
    "Memory",
    "PlainName",
    "SharedCounters",
    "Tallied",
    "Tally",
    "default_location",
    "of_requests",
    "tag_of",
]
