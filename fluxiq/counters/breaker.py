"""Leaving a server alone while it is away."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fluxiq import metrics
from fluxiq.counters.process import process_lock
from fluxiq.metrics.families import BREAKER_OPEN, BREAKER_OPENINGS

logger = logging.getLogger("fluxiq.counters")


class Breaker:
    """Whether a server is left alone because it failed; one for each server and process."""

    def __init__(self, server: str, probe_seconds: float) -> None:
        self._server = server
        self._probe_seconds = probe_seconds
        self._open = False
        self._next_probe = 0.0
        self._prober: int | None = None

    @property
    def is_open(self) -> bool:
        """True while the server is away and counting is local to this host."""
        return self._open

    def open(self, error: Exception) -> None:
        """Leave the server alone until a probe succeeds."""
        with process_lock:
            was_open, self._open = self._open, True
            self._next_probe = time.monotonic() + self._probe_seconds
        if not was_open:
            metrics.put(BREAKER_OPEN, 1)
            metrics.add(BREAKER_OPENINGS)
            logger.warning(
                "%s is away (%s: %s): counting on this host",
                self._server,
                type(error).__name__,
                error,
            )

    def close(self) -> None:
        """Use the server again."""
        with process_lock:
            was_open, self._open = self._open, False
        if was_open:
            metrics.put(BREAKER_OPEN, 0)
            logger.warning("%s is back: counting is shared again", self._server)

    @contextmanager
    def probe(self) -> Iterator[bool]:
        """Yield whether the caller is the one to try the server now."""
        with process_lock:
            # The process id, since a child forked meanwhile inherits the mark but not the prober.
            mine = self._prober != os.getpid() and time.monotonic() >= self._next_probe
            if mine:
                self._prober = os.getpid()
        try:
            yield mine
        finally:
            if mine:
                self._prober = None
