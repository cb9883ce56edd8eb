"""Work that a process does beside its requests: a thread that wakes now and then."""

import atexit
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from django.db import InterfaceError, OperationalError, connections

from fluxiq import origin
from fluxiq.errors import ServiceUnavailable
from fluxiq.logs import in_a_line

logger = logging.getLogger(__name__)

STOP_SECONDS = 10
MAX_PAUSE = 60  # seconds; how far the pauses grow while the work keeps failing
ERRAND_SECONDS = 1.0

OUTAGES = (OperationalError, InterfaceError, ServiceUnavailable)


class Recurring:
    """Work that is done every `period` seconds, and once more as the process exits.

    What it raises is logged, and it is tried again after a pause that doubles each time. A forked
    child has no such thread until it starts one.
    """

    def __init__(self, name: str, work: Callable[[], object], *, period: float) -> None:
        self._name = name
        self._work = work
        self._period = period
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin, unless begun."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
                atexit.register(self.stop)

    def stop(self) -> None:
        """Do what is left, and end."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        pause = self._period
        while not self._stopped.wait(pause):
            pause = self._period if self._do() else min(2 * pause, MAX_PAUSE)
        self._do()

    def _do(self) -> bool:
        try:
            self._work()
        except OUTAGES as error:
            logger.error("%s failed, and will be tried again: %s", self._name, in_a_line(error))
            return False
        except Exception:  # of whatever kind: the thread must live, and tries again
            logger.exception("%s failed, and will be tried again", self._name)
            return False
        finally:
            connections.close_all()
        return True


class Errands:
    """Work that requests hand over, done in turn by a thread of this process, every second.

    Not at once: then the next answer on the same connection could tell by its time how much there
    was to do. What is left when the process exits is done then. During an outage it waits and is
    tried again; what fails otherwise is logged and dropped. No more than `most` wait.
    """

    def __init__(self, name: str, *, most: int) -> None:
        self._name = name
        self._most = most
        self._waiting: deque[tuple[origin.Origin, Callable[[], object]]] = deque()
        self._recurring = Recurring(name, self._do_all, period=ERRAND_SECONDS)
        os.register_at_fork(after_in_child=self._waiting.clear)

    def hand_over(self, work: Callable[[], object]) -> bool:
        """Have the work done as the origin in hand. False, and it never is, where too many wait."""
        if len(self._waiting) >= self._most:
            return False
        # Without the request itself, whose body would be kept with it.
        self._waiting.append((replace(origin.current(), request=None), work))
        self._recurring.start()
        return True

    def stop(self) -> None:
        """Do what is left, and end."""
        self._recurring.stop()

    def _do_all(self) -> None:
        while self._waiting:
            source, work = self._waiting[0]
            try:
                with origin.working_as(source):
                    work()
            except OUTAGES:
                raise
            except Exception:  # of whatever kind: what waits behind it must not wait for ever
                logger.exception("%s: what was handed over failed", self._name)
            self._waiting.popleft()
