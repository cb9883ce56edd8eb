"""The pepper ring in force, under which keys are digested: API_KEY_PEPPERS, newest first.

And the ids of the keys that this process has verified, by which a key is counted and cached. An id
does not depend on the ring: servers in the middle of a rotation, whose newest peppers differ, count
a key in one bucket, and a revocation on either deletes the one cache entry that both read. A secret
opens the same key for as long as it opens any, so an id that was learned never has to be forgotten.
"""

import threading
from functools import lru_cache

from django.conf import settings

from authn import keys

MAX_IDS = 16_384  # of each process, of some 250 bytes each

_ids: dict[bytes, str] = {}
_lock = threading.Lock()


@lru_cache(maxsize=8)
def _parsed_peppers(text: str) -> tuple[keys.Pepper, ...]:
    return keys.parse_peppers(text)


def peppers() -> tuple[keys.Pepper, ...]:
    """The pepper ring of the settings in force, newest first."""
    return _parsed_peppers(settings.API_KEY_PEPPERS)


def digest_of(secret: str) -> bytes:
    """The digest of a key under the newest pepper."""
    return peppers()[0].digest(secret)


def id_of(digest: bytes) -> str | None:
    """The id of the key with this digest, if this process has verified it; else None."""
    return _ids.get(digest)


def learn_id(digest: bytes, api_key_id: str) -> None:
    """Keep the id of a key that was just verified. The oldest entry goes where there are many."""
    if digest in _ids:
        return
    with _lock:
        while len(_ids) >= MAX_IDS:
            del _ids[next(iter(_ids))]
        _ids[digest] = api_key_id
