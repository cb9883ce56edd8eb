"""Leaving a server alone while it is away."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fluxiq.counters.process import process_lock

logger = logging.getLogger("fluxiq.counters")


class Breaker:
    """Whether a server is left alone because it failed; one for each server and process.

    The log tells what is done `meanwhile`, and `afterwards`; `on_change` whether it is open now.
    """

    def __init__(
        self,
        server: str,
        probe_seconds: float,
        *,
        meanwhile: str = "counting on this host",
        afterwards: str = "counting is shared again",
        on_change: Callable[[bool], None] | None = None,
    ) -> None:
        self._server = server
        self._probe_seconds = probe_seconds
        self._meanwhile, self._afterwards = meanwhile, afterwards
        self._on_change = on_change
        self._open = False
        self._next_probe = 0.0
        self._prober: int | None = None

    @property
    def is_open(self) -> bool:
        """True while the server is away, and left alone."""
        return self._open

    def open(self, error: Exception) -> None:
        """Leave the server alone until a probe succeeds."""
        with process_lock:
            was_open, self._open = self._open, True
            self._next_probe = time.monotonic() + self._probe_seconds
        if not was_open:
            self._tell(is_open=True)
            logger.warning(
                "%s is away (%s: %s): %s",
                self._server,
                type(error).__name__,
                error,
                self._meanwhile,
            )

    def close(self) -> None:
        """Use the server again."""
        with process_lock:
            was_open, self._open = self._open, False
        if was_open:
            self._tell(is_open=False)
            logger.warning("%s is back: %s", self._server, self._afterwards)

    def _tell(self, *, is_open: bool) -> None:
        if self._on_change is not None:
            self._on_change(is_open)

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
