"""The short way in: a caller who is remembered, counted and recalled in one trip, and no SQL.

Whoever is not remembered, or under a tombstone, is not refused for it, but goes the long way, by
the database.
"""

import time
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from rest_framework_simplejwt.exceptions import TokenError

from authn import keys, ratelimit, remembered, usage
from authn.authentication import Verified, user_when_asked
from authn.models.api_key_queries import KeyRefused
from authn.peppers import digest_of, id_of
from authn.ratelimit import Bucket
from authn.tokens import verified_access
from authn.usage import Use
from fluxiq import counters
from fluxiq.counters import Asked
from fluxiq.limits import Usage

NOBODY = AnonymousUser()  # whom an API key acts for: its principal says all there is


@dataclass(slots=True)
class Recognised:
    """A caller who was remembered: who it is, what was counted where, and the use of a key."""

    verified: Verified
    bucket: Bucket
    usage: Usage
    use: Use | None = None


def recognise(credential: str, address: str) -> Recognised | None:
    """The remembered caller of this credential, counted; None, and nothing counted, for others.

    Raises KeyRefused for a key whose end has come since it was remembered.
    """
    if counters.of_requests().memory is None:
        return None
    if credential.startswith(keys.MARKER):
        return _api_key(credential, address)
    return _access_token(credential)


def _api_key(secret: str, address: str) -> Recognised | None:
    # The checksum is not asked for: only a key that had the right one was remembered.
    if not keys.has_shape(secret, settings.FLUXIQ_ENVIRONMENT):
        return None
    api_key_id = id_of(digest_of(secret))
    if api_key_id is None:
        return None
    tallied = usage.tallied_with_recall(address)
    found = ratelimit.count_remembered(
        "api_key",
        api_key_id,
        settings.RATE_LIMIT_API_KEY[1],
        [remembered.key_name(api_key_id)],
        tallied,
    )
    if found is None:
        return None
    counted, asked = found
    key = remembered.read_key(_entries(asked)[0])
    if key.until <= time.time():
        asked.take_back()
        raise KeyRefused(api_key_id, tallied.at)
    bucket = ratelimit.bucket_of(key.principal)
    use = Use.recalled(api_key_id, tallied.at)
    return Recognised((NOBODY, key.principal), bucket, bucket.usage(counted), use)


def _access_token(encoded: str) -> Recognised | None:
    try:
        token = verified_access(encoded)
    except TokenError:
        return None
    bucket = ratelimit.user_bucket(token.user_id)
    names = [
        remembered.session_name(token.user_id, token.session_id),
        remembered.user_name(token.user_id),
    ]
    found = ratelimit.count_remembered(bucket.kind, bucket.owner, bucket.window, names)
    if found is None:
        return None
    counted, asked = found
    until, user = _entries(asked)
    if float(until) <= time.time():
        asked.take_back()
        return None
    principal = remembered.read_user(user, token.session_id)
    verified = (user_when_asked(principal.id), principal)
    return Recognised(verified, bucket, bucket.usage(counted))


def _entries(asked: Asked) -> list[bytes]:
    return asked.entries or []
