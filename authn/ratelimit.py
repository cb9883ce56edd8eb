"""The buckets of the rate limit, counted by django-ratelimit.

A verified key, a verified user over all of their tokens, else the client's address (contract,
section 7). Two properties of django-ratelimit 4.1 shape this file: a window's last second still
counts in the old window, so that the next one begins a second after `time_left`; and it
concatenates group and rate, so that a group ends with a colon.
"""

import sqlite3
import time
from dataclasses import dataclass

from django.conf import settings
from django_ratelimit.core import get_usage

from fluxiq.addresses import counting_identity
from fluxiq.errors import ServiceUnavailable
from fluxiq.limits import Usage
from fluxiq.principals import Principal

MINUTE = 60


@dataclass(frozen=True, slots=True)
class Bucket:
    """What shares one count: its kind, its owner, and how many requests in how many seconds."""

    kind: str
    owner: str
    limit: int
    window: int = MINUTE


def bucket_of(principal: Principal) -> Bucket:
    """The bucket of a verified caller; a key's own limit goes before the default."""
    if principal.is_user:
        return user_bucket(principal.id)
    default = (
        settings.RATE_LIMIT_SERVICE_KEY if principal.is_service else settings.RATE_LIMIT_API_KEY
    )
    if principal.rate_limit is not None:
        return Bucket("api_key", principal.id, principal.rate_limit)
    return Bucket("api_key", principal.id, *default)


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
    try:
        usage = get_usage(
            None,  # the request, which nothing below asks for
            group=f"{bucket.kind}:",
            key=lambda group, request: bucket.owner,
            rate=(bucket.limit, bucket.window),
            increment=increment,
        )
    except sqlite3.Error as error:
        raise ServiceUnavailable from error
    if usage["limit"] != bucket.limit:  # how django-ratelimit tells that it has no count
        raise ServiceUnavailable
    reset = int(time.time()) + usage["time_left"] + 1
    return Usage(bucket.kind, bucket.limit, usage["count"], bucket.window, reset)
