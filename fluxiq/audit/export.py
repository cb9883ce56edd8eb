"""The trail as JSON lines, to be kept elsewhere; and the checkpoint that an export ends with.

The first line tells where it begins, the last is the checkpoint, and each between is a link: the
seal, and the event in the very values that it is a code of. Exports follow on each other: one
begins where the last one ended, so that all of them together hold everything.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from django.db import transaction
from django.utils import timezone

from fluxiq.audit import chain, ring, sealing, verification
from fluxiq.audit.chain import Fault, Link, Start
from fluxiq.audit.models import Checkpoint, Kind, record
from fluxiq.audit.verification import Step, ignore
from fluxiq.errors import Conflict


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export holds, and its checkpoint; nothing new where `events` is 0."""

    events: int
    first: int
    position: int
    digest: str


def export(path: Path, *, everything: bool = False, step: Step = ignore) -> Exported:
    """Write what was sealed since the last checkpoint (or all there is) to a new file.

    All that waits is sealed first, and every link is verified as it is written. Only once the file
    is on the disk is the checkpoint made. Raises FileExistsError, OSError, and Conflict, with no
    checkpoint made, where a link is not sound.
    """
    sealing.seal()
    start = _beginning(everything=everything)
    position, digest = chain.head()
    first = start.position
    if position < first:
        return Exported(0, first, position, digest.hex())
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    if path.exists():
        raise FileExistsError(path)
    try:
        with draft.open("x", encoding="ascii") as file:
            before = _write(file, start, position, step)
            checkpoint = _checkpoint(position, before, digest)
            _line(file, {"checkpoint": _checkpoint_values(checkpoint)})
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # as a rename, but it replaces nothing
    finally:
        draft.unlink(missing_ok=True)
    with transaction.atomic():
        if not Checkpoint.objects.filter(pk=position).exists():
            checkpoint.save()
        record(Kind.TRAIL_EXPORTED, object_id="", after={"first": first, "position": position})
    return Exported(position - first + 1, first, position, digest.hex())


def _beginning(*, everything: bool) -> Start:
    """Where an export begins: after the last checkpoint, or where the chain does."""
    start, _ = verification.beginning()
    last = Checkpoint.objects.order_by("-position").first()
    if everything or last is None or last.position < start.position:
        return start
    return Start(last.position + 1, bytes(last.digest))


def count(*, everything: bool = False) -> int:
    """How many links an export would write of those that are sealed by now."""
    return max(0, chain.head()[0] - _beginning(everything=everything).position + 1)


def _write(file: TextIO, start: Start, end: int, step: Step) -> bytes:
    """Write where it begins, and the links. Returns the digest before the last."""
    _line(file, {"begin": {"position": start.position, "before": start.before.hex()}})
    before = digest = start.before
    found = chain.faults(start, chain.links(start.position, end))
    for number, link in enumerate(found):
        if isinstance(link, Fault):
            raise Conflict(f"position {link.position}: {link.what}; nothing was exported")
        before, digest = digest, link.digest
        _line(file, _link_values(link))
        step(number + 1)
    return before


def _line(file: TextIO, values: dict[str, Any]) -> None:
    file.write(json.dumps(values, separators=(",", ":")) + "\n")


def _checkpoint(position: int, before: bytes, digest: bytes) -> Checkpoint:
    key = ring.ring()[0]
    checkpoint = Checkpoint(
        position=position,
        before=before,
        digest=digest,
        exported_at=timezone.now(),
        key_id=key.id,
    )
    checkpoint.mac = key.mac(chain.checkpoint_message(checkpoint))
    return checkpoint


def _link_values(link: Link) -> dict[str, Any]:
    return {
        "position": link.position,
        "key_id": link.key_id,
        "sealed_at": chain.stamp(link.sealed_at),
        "digest": link.digest.hex(),
        "event": chain.shown(link.event or {}),
    }


def _checkpoint_values(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "position": checkpoint.position,
        "before": checkpoint.before.hex(),
        "digest": checkpoint.digest.hex(),
        "exported_at": chain.stamp(checkpoint.exported_at),
        "key_id": checkpoint.key_id,
        "mac": checkpoint.mac.hex(),
    }
