"""How much each API key is used, and when last: tallied at each request, moved by the minute.

A request writes nothing to the database. Its tally stands where requests are counted (the server,
or this machine's file), under the key, the hour and what came of it, and outlives the worker.
Once a minute, of all workers of all machines one moves what is there: a row for each key and
hour, and each key's last use. Every batch that is moved is written down with its counts, so that
none is lost or added twice, wherever a process is killed. Only a machine that dies loses what its
own file held; and a server that hangs, and goes on, may count twice what each thread told it last.
"""

import atexit
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus

from django.conf import settings
from django.db import InterfaceError, OperationalError, connections

from authn.models import ApiKeyUsage, last_use
from authn.models.usage import HourOfUse
from fluxiq import counters
from fluxiq.counters import Counters, Tallied, Tally
from fluxiq.logs import in_a_line

logger = logging.getLogger(__name__)

# Seconds. A busy key costs two row writes a minute, its hour's and its own; three as an hour turns.
PERIOD = 60
STOP_SECONDS = 10

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = 60 * 60 * 1_000_000  # microseconds


class Outcome(StrEnum):
    """What came of a request. The first is presumed of a live key's, as it is counted; what turns
    out otherwise takes it back."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    LIMITED = "limited"
    REFUSED_AFTER_ALL = "refused_after_all"
    LIMITED_AFTER_ALL = "limited_after_all"


# What each adds to the counts of admitted, refused and limited requests.
_ADDS = {
    Outcome.ADMITTED: (1, 0, 0),
    Outcome.REFUSED: (0, 1, 0),
    Outcome.LIMITED: (0, 0, 1),
    Outcome.REFUSED_AFTER_ALL: (-1, 1, 0),
    Outcome.LIMITED_AFTER_ALL: (-1, 0, 1),
}


class Use:
    """One request that came with a known API key, tallied beside the key's bucket."""

    def __init__(self, api_key_id: str, at: int | None = None) -> None:
        self._api_key_id = api_key_id
        self._at = at or _microseconds()
        self._is_admitted = False

    @classmethod
    def recalled(cls, api_key_id: str, at: int | None) -> "Use":
        """A live key's request that was tallied, as of then, with the count that recalled it."""
        use = cls(api_key_id, at)
        use._is_admitted = True
        _start_mover()
        return use

    def admit(self, address: str) -> None:
        """Tally a live key's request, used from that address, along with its count that follows."""
        self._is_admitted = True
        self._tally(Outcome.ADMITTED, at=self._at, note=address, ride=True)

    def end(self, status: int) -> None:
        """Tally how it was answered, where that was not presumed."""
        if status < HTTPStatus.BAD_REQUEST:
            return
        match status:
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                self._tally(Outcome.REFUSED_AFTER_ALL if self._is_admitted else Outcome.REFUSED)
            case HTTPStatus.TOO_MANY_REQUESTS:
                self._tally(Outcome.LIMITED_AFTER_ALL if self._is_admitted else Outcome.LIMITED)

    def _tally(self, outcome: Outcome, *, at: int = 0, note: str = "", ride: bool = False) -> None:
        name = f"{self._at // _HOUR} {self._api_key_id} {outcome}"
        try:
            counters.of_requests().tally(name, owner=self._api_key_id, at=at, note=note, ride=ride)
        except sqlite3.Error as error:
            # Whether a request passes is for the limit to say, which is counted in the same place.
            logger.error("a use of %s was not tallied: %s", self._api_key_id, error)
        _start_mover()


def tallied_with_recall(address: str) -> Tallied:
    """What a count that recalls a live key tallies: its use now, from that address."""
    at = _microseconds()
    return Tallied(str(at // _HOUR), Outcome.ADMITTED, at, address)


def _microseconds() -> int:
    """Now, in microseconds of Unix time."""
    return time.time_ns() // 1000


def _start_mover() -> None:
    if not _mover.is_running and settings.USAGE_IN_BACKGROUND:
        _mover.start()


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved: how many batches, and rows of a key and hour."""

    batches: int = 0
    rows: int = 0

    def __add__(self, other: "Moved") -> "Moved":
        return Moved(self.batches + other.batches, self.rows + other.rows)


def flush() -> Moved:
    """Move to the database all that is tallied on the server and on this machine by now."""
    return sum(map(_move, counters.of_requests().places), Moved())


def flush_once_a_minute() -> Moved:
    """Move what is tallied in each place, unless somebody did this minute."""
    minute = int(time.time()) // PERIOD
    due = [
        place
        for number, place in enumerate(counters.of_requests().places)
        if place.once(f"usage-moved:{number}:{minute}", 2 * PERIOD)
    ]
    return sum(map(_move, due), Moved())


def _move(place: Counters) -> Moved:
    moved = Moved()
    for batch in place.batches():
        hours, uses = _read(batch.tallies)
        if ApiKeyUsage.objects.add(batch.id, hours):
            moved += Moved(1, len(hours))
        # By themselves, so as to keep nobody waiting who changes keys.
        last_use.note({key_id: (_at(at), address) for key_id, (at, address) in uses.items()})
    return moved


def _read(
    tallies: Mapping[str, Tally],
) -> tuple[list[HourOfUse], dict[str, tuple[int, str]]]:
    """The counts by key and hour, and the last use by key."""
    counts: dict[tuple[str, int], list[int]] = {}
    uses: dict[str, tuple[int, str]] = {}
    for name, tally in tallies.items():
        hour, api_key_id, outcome = name.split()
        of_hour = counts.setdefault((api_key_id, int(hour)), [0, 0, 0])
        for column, adds in enumerate(_ADDS[Outcome(outcome)]):
            of_hour[column] += adds * tally.count
        if tally.at > uses.get(api_key_id, (0, ""))[0]:
            uses[api_key_id] = (tally.at, tally.note)
    hours = [
        HourOfUse(api_key_id, _at(hour * _HOUR), *of_hour)
        for (api_key_id, hour), of_hour in counts.items()
    ]
    return hours, uses


def _at(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


class Mover:
    """The thread of this process that moves the tallies, as each minute begins and as it exits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    @property
    def is_running(self) -> bool:
        """Whether it has begun."""
        return self._thread is not None

    def start(self) -> None:
        """Begin, unless begun."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="usage", daemon=True)
                self._thread.start()
                atexit.register(self.stop)

    def stop(self) -> None:
        """Move what is left, and end."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopped.wait(PERIOD - time.time() % PERIOD):
            self._move(flush_once_a_minute)
        self._move(flush)

    def _move(self, move: Callable[[], Moved]) -> None:
        try:
            move()
        except (OperationalError, InterfaceError) as error:
            logger.error("the use of API keys was not moved: %s", in_a_line(error))
        except Exception:  # of whatever kind: what is not moved now, is the next time
            logger.exception("the use of API keys could not be moved to the database")
        finally:
            connections.close_all()


_mover = Mover()


def _renew_mover() -> None:
    global _mover  # noqa: PLW0603 - a forked child has neither its parent's thread nor its lock
    _mover = Mover()


os.register_at_fork(after_in_child=_renew_mover)
