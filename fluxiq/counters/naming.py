"""What our backends' keys are named, so that those which one script touches lie together.

A cluster finds a key's node by its hash tag, the part that stands in braces. Owners are dealt out
to SHARDS, and the tag of all that is an owner's names its shard: its counters, what is remembered
of it, and the tallies, of which there is one hash for each shard.
"""

import zlib
from functools import lru_cache

SHARDS = 256  # few enough to visit each once a minute, enough to spread over dozens of nodes

_TAGS = tuple(f"{{{number:02x}}}" for number in range(SHARDS))


@lru_cache(maxsize=4096)
def tag_of(owner: str) -> str:
    """The hash tag of all that is this owner's."""
    return _TAGS[zlib.crc32(owner.encode()) % SHARDS]


def tallies_name(tag: str) -> str:
    """Where the tallies of a shard are."""
    return f"{tag}tallies"


def every_tag() -> tuple[str, ...]:
    """The hash tags of all shards."""
    return _TAGS


class PlainName:
    """How django-ratelimit names its counters: as they are, in the place of a hash of it, so that
    the hash tag in the name stays one."""

    def __init__(self, name: bytes) -> None:
        self._name = name

    def hexdigest(self) -> str:
        """The name."""
        return self._name.decode()
