"""Verified callers, remembered for ten seconds beside the counts of their requests.

State has one truth, the database; this only ever repeats it. An entry is added where none is,
and only if what it says was read less than READ_SECONDS ago; it lives for LIFETIME at most. What
ends or changes a credential commits, then lays a tombstone over the entry, and only then is
answered. A tombstone says "ask the database" and outlives every read that began before it, so
that none of them can put the old state back; and a cache that is lost or flushed only forgets.

Where the server of the counts cannot be reached from here, the tombstone is tried again until no
entry can be left. For as long, LIFETIME, another host that does reach it may repeat the old state.
Without such a server (the embedded deployment) nothing is remembered at all.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from django.db import transaction

from fluxiq import counters
from fluxiq.counters import tag_of
from fluxiq.principals import Grant, Kind, Principal

logger = logging.getLogger(__name__)

LIFETIME = 10.0  # seconds
READ_SECONDS = 5.0
RETRY_SECONDS = 0.2

FOREVER = float("inf")
MAX_PARSED = 4096  # entries kept parsed by each process, of a few hundred bytes each


def key_name(api_key_id: str) -> str:
    """Where an API key is remembered."""
    return f"{tag_of(api_key_id)}{api_key_id}:key"


def user_name(user_id: str) -> str:
    """Where what a user may do is remembered."""
    return f"{tag_of(user_id)}{user_id}:user"


def session_name(user_id: str, session_id: str) -> str:
    """Where a session is remembered, beside its user: one script reads both."""
    return f"{tag_of(user_id)}{user_id}:{session_id}"


@dataclass(frozen=True, slots=True)
class RememberedKey:
    """An API key as it was: its principal, and the Unix time of its end."""

    principal: Principal
    until: float


def write_key(principal: Principal, until: float | None) -> str:
    """An API key that serves from anywhere, as an entry. `until` is its end, None without one."""
    grant = principal.grants[0] if principal.grants else None
    return json.dumps(
        [
            principal.id,
            principal.name,
            [grant.merchant_id, grant.merchant_name, grant.permissions] if grant else None,
            principal.service_permissions,
            principal.rate_limit,
            until,
        ]
    )


@lru_cache(maxsize=MAX_PARSED)
def read_key(entry: bytes) -> RememberedKey:
    """The key that an entry holds."""
    key_id, name, grant, service_permissions, rate_limit, until = json.loads(entry)
    principal = Principal(
        Kind.API_KEY,
        key_id,
        name,
        (Grant(grant[0], grant[1], None, tuple(grant[2])),) if grant else (),
        rate_limit=rate_limit,
        service_permissions=tuple(service_permissions),
    )
    return RememberedKey(principal, FOREVER if until is None else until)


def write_user(principal: Principal) -> str:
    """What a user may do, as an entry: nothing in it is of one session."""
    grants = [
        [g.merchant_id, g.merchant_name, g.role, g.permissions, g.suspended]
        for g in principal.grants
    ]
    return json.dumps([principal.id, principal.name, grants, principal.is_superuser])


@lru_cache(maxsize=MAX_PARSED)
def read_user(entry: bytes, session_id: str) -> Principal:
    """The principal that an entry holds, in one of its sessions."""
    user_id, name, grants, is_superuser = json.loads(entry)
    return Principal(
        Kind.USER,
        user_id,
        name,
        tuple(Grant(g[0], g[1], g[2], tuple(g[3]), suspended=g[4]) for g in grants),
        is_superuser=is_superuser,
        session_id=session_id,
    )


def remember(entries: Mapping[str, str], began: float, until: float | None = None) -> None:
    """Add these entries, read from the database since `began` (of the monotonic clock).

    Each lives until LIFETIME after that moment, so that nothing is repeated for longer where no
    tombstone comes, and no longer than `until` (Unix time), where that is nearer.
    """
    memory = counters.of_requests().memory
    took = time.monotonic() - began
    if memory is None or took > READ_SECONDS:
        return
    seconds = LIFETIME - took
    if until is not None:
        seconds = min(seconds, until - time.time())
    if seconds > 0:
        memory.remember(entries, seconds)


def forget(*names: str) -> None:
    """Lay tombstones over these entries once the transaction in hand commits."""
    after_commit(partial(bury, names))


def after_commit(lay: Callable[[], None]) -> None:
    """Lay tombstones once the transaction in hand commits: earlier, the old state could return."""
    transaction.on_commit(lay)


def bury(names: Sequence[str]) -> None:
    """Lay tombstones over these entries now; where the server is away, as soon as it is back."""
    memory = counters.of_requests().memory
    if memory is not None and names and not memory.bury(names):
        logger.warning("what is remembered cannot be forgotten yet: the server is away")
        threading.Thread(target=_bury_later, args=(names,), daemon=True).start()


def _bury_later(names: Sequence[str]) -> None:
    deadline = time.monotonic() + LIFETIME + 1
    memory = counters.of_requests().memory
    while memory is not None and time.monotonic() < deadline:
        time.sleep(RETRY_SECONDS)
        if memory.bury(names):
            return
