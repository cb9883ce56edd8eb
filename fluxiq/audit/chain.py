"""The chain: what a seal is the code of, and walking it from link to link. It writes nothing.

A seal is HMAC-SHA256, under a key of the ring, of the canonical bytes of: its position, the digest
of the seal before it, the id of the key, the moment of sealing, and every field of its event. So an
event cannot be changed, removed, put in or moved without the key and leave the chain whole; only
its end can be cut off, which a head that was kept elsewhere tells.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fluxiq.audit import ring
from fluxiq.audit.models import AuditEvent, Checkpoint, Prune, Seal

CHUNK = 1000  # links that are read at once: what a walk holds in memory
GENESIS = b""  # stands for the digest before the first seal's

FIELDS = tuple(field.attname for field in AuditEvent._meta.concrete_fields)

Event = Mapping[str, Any]  # the values of an event's fields by name


@dataclass(frozen=True, slots=True)
class Link:
    """A seal and its event; None where there is no such event."""

    position: int
    event_id: str
    key_id: str
    sealed_at: datetime
    digest: bytes
    event: Event | None

    def message(self, before: bytes) -> bytes:
        """What the seal is a code of, after a seal of that digest."""
        return message(self.position, before, self.key_id, self.sealed_at, self.event or {})


@dataclass(frozen=True, slots=True)
class Start:
    """Where a chain begins: its first position, and the digest before it."""

    position: int
    before: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at a position (None: nowhere in the chain), and with which event."""

    position: int | None
    event_id: str
    what: str


def stamp(moment: datetime) -> str:
    """A moment as it is sealed: UTC, to the microsecond."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def canonical(*parts: Any) -> bytes:
    """The one spelling of these JSON values."""
    return json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def shown(event: Event) -> dict[str, Any]:
    """The event as JSON values, which it is sealed, exported and read again as."""
    return {name: stamp(value) if name == "at" else value for name, value in event.items()}


def message(position: int, before: bytes, key_id: str, sealed_at: datetime, event: Event) -> bytes:
    """The canonical bytes that a seal is the code of."""
    return canonical(
        "fluxiq audit seal 1", position, before.hex(), key_id, stamp(sealed_at), shown(event)
    )


def checkpoint_message(checkpoint: Checkpoint) -> bytes:
    """The canonical bytes that a checkpoint's code is of."""
    return canonical(
        "fluxiq audit checkpoint 1",
        checkpoint.position,
        bytes(checkpoint.before).hex(),
        bytes(checkpoint.digest).hex(),
        checkpoint.key_id,
        stamp(checkpoint.exported_at),
    )


def prune_message(prune: Prune) -> bytes:
    """The canonical bytes that the code of a leave to prune is of."""
    digest = bytes(prune.checkpoint.digest).hex()
    return canonical(
        "fluxiq audit prune 1", prune.checkpoint_id, digest, prune.key_id, stamp(prune.at)
    )


def head() -> tuple[int, bytes]:
    """The position and the digest of the last seal; 0 and GENESIS before the first."""
    last = Seal.objects.order_by("-position").values_list("position", "digest").first()
    return (last[0], bytes(last[1])) if last is not None else (0, GENESIS)


def links(start: int, end: int) -> Iterator[Link]:
    """The links from position `start` to `end`, in order, a chunk at a time."""
    while start <= end:
        seals = list(
            Seal.objects.filter(position__gte=start, position__lte=end)
            .order_by("position")
            .values_list("position", "event_id", "key_id", "sealed_at", "digest")[:CHUNK]
        )
        if not seals:
            return
        found = AuditEvent.objects.filter(pk__in=[seal[1] for seal in seals]).order_by()
        events = {event["id"]: event for event in found.values(*FIELDS)}
        for position, event_id, key_id, sealed_at, digest in seals:
            event = events.get(event_id)
            yield Link(position, event_id, key_id, sealed_at, bytes(digest), event)
        start = seals[-1][0] + 1


def faults(start: Start, found: Iterable[Link]) -> Iterator[Fault | Link]:
    """Walk links in order and yield each that is sound, and a Fault for each that is not.

    After a fault the walk goes on from the digest that is there, so that what follows is judged by
    itself. A key that is not in the ring is told once, at the first position under it.
    """
    keys = ring.by_id()
    unknown: set[str] = set()
    expected, before = start.position, start.before
    for link in found:
        gap = link.position != expected
        if gap:
            yield _missing(expected, link.position - 1)
        expected = link.position + 1
        predecessor, before = before, link.digest
        if link.event is None:
            yield Fault(link.position, link.event_id, "the event is gone")
        elif link.key_id not in keys:
            if link.key_id not in unknown:
                unknown.add(link.key_id)
                what = f"sealed under the key {link.key_id}, which is not in AUDIT_KEYS"
                yield Fault(link.position, link.event_id, what)
        elif gap:  # what came before is unknown
            continue
        elif keys[link.key_id].made(link.digest, link.message(predecessor)):
            yield link
        else:
            what = "the event or its seal was changed, or put in another's place"
            yield Fault(link.position, link.event_id, what)


def _missing(first: int, last: int) -> Fault:
    if first == last:
        return Fault(first, "", "the seal is gone")
    return Fault(first, "", f"the seals up to position {last} are gone")
