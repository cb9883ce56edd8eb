"""The buckets of the rate limit, counted by django-ratelimit.

A verified key, a verified user over all of their tokens, else the client's address (contract,
section 7). Two properties of django-ratelimit 4.1 shape this file: a window's last second still
counts in the old window, so that the next one begins a second after `time_left`; and it
concatenates group and rate, so that a group ends with a colon.
"""

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.conf import settings
from django_ratelimit.core import get_usage

from fluxiq import counters
from fluxiq.addresses import counting_identity
from fluxiq.counters import Asked, Tallied, tag_of
from fluxiq.errors import ServiceUnavailable
from fluxiq.limits import Usage
from fluxiq.principals import Principal

_ANY_LIMIT = 1


@dataclass(slots=True)
class Bucket:
    """What shares one count: its kind, its owner, and how many requests in how many seconds."""

    kind: str
    owner: str
    limit: int
    window: int

    def usage(self, counted: "Counted") -> Usage:
        """What was counted, held against the limit."""
        return Usage(self.kind, self.limit, counted.requests, self.window, counted.reset)


class Counted(NamedTuple):
    """The requests of a window so far, and the first second (Unix time) of the next window."""

    requests: int
    reset: int


def bucket_of(principal: Principal) -> Bucket:
    """The bucket of a verified caller; a key's own limit goes before the default."""
    if principal.is_user:
        return user_bucket(principal.id)
    default, window = (
        settings.RATE_LIMIT_SERVICE_KEY if principal.is_service else settings.RATE_LIMIT_API_KEY
    )
    return Bucket("api_key", principal.id, principal.rate_limit or default, window)


def user_bucket(user_id: str) -> Bucket:
    """The bucket of a user, whichever of their tokens is used."""
    return Bucket("user", user_id, *settings.RATE_LIMIT_JWT)


def address_bucket(address: str) -> Bucket:
    """The bucket of whoever is not verified: an IPv4 address, or an IPv6 /64."""
    return Bucket("address", counting_identity(address), *settings.RATE_LIMIT_ANONYMOUS)


def count(bucket: Bucket, *, increment: bool = True) -> Usage:
    """Count one request in the bucket (or, without `increment`, only look).

    Raises ServiceUnavailable where this machine cannot count: nothing passes uncounted.
    """
    counted = _count(bucket.kind, bucket.owner, bucket.window, increment=increment)
    if counted is None:
        raise ServiceUnavailable
    return bucket.usage(counted)


def look(bucket: Bucket) -> Usage:
    """What is counted in the bucket. Where this machine cannot tell: nothing, as in a window that
    begins now."""
    try:
        return count(bucket, increment=False)
    except ServiceUnavailable:
        return bucket.usage(Counted(0, int(time.time()) + bucket.window))


def count_remembered(
    kind: str, owner: str, window: int, names: Sequence[str], tallied: Tallied | None = None
) -> tuple[Counted, Asked] | None:
    """Count one request in the owner's bucket of that kind if all that is asked for is remembered,
    and bring it in the same trip.

    None, and nothing counted, where it is not.
    """
    memory = counters.of_requests().memory
    if memory is None or not memory.is_open:
        return None
    with memory.asking(owner, names, tallied) as asked:
        counted = _count(kind, owner, window, increment=True)
    if counted is None or asked.entries is None:
        return None
    return counted, asked


def _count(kind: str, owner: str, window: int, *, increment: bool) -> Counted | None:
    """What django-ratelimit counts, or None where it has no count.

    It names a counter by its rate, too. Ours are named by the window alone: a limit that is changed
    holds for what was counted already, and one counter serves before the limit is known.
    """
    try:
        usage = get_usage(
            None,  # the request, which nothing below asks for
            group=f"{kind}:",
            key=lambda group, request: tag_of(owner) + owner,
            rate=(_ANY_LIMIT, window),
            increment=increment,
        )
    except sqlite3.Error as error:
        raise ServiceUnavailable from error
    if usage["limit"] != _ANY_LIMIT:  # how it tells that it has no count
        return None
    return Counted(usage["count"], int(time.time()) + usage["time_left"] + 1)
