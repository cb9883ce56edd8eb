"""After a restore: what exports of the trail say was done since the backup is done again.

A backup brings back what was taken away after it was made: keys that were revoked, passwords and
second factors that were replaced, people who were shut out. The exports of the trail, which are
kept elsewhere, know it. So a replay ends every session (refreshing is not in the trail, and a
spent refresh token would be good again), and does again what the exported events did that the
database does not hold. What the backup does not know cannot be brought back, and what cannot be
done again alone is left to a person; both are told. How each kind of event is done again:
`authn.done_again`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model

from authn import sessions
from authn.done_again import AGAIN, MAKES, REASON, WITHDRAW_PASSWORD, Event
from fluxiq.audit import exported
from fluxiq.audit import models as audit
from fluxiq.audit.chain import Link, Start
from fluxiq.audit.models import AuditEvent, Kind, Seal
from fluxiq.audit.verification import Head
from fluxiq.errors import Conflict

CHUNK = 500  # events that the database is asked for at once


@dataclass
class Replayed:
    """What came of a replay.

    `lost` are the ids of what was made after the backup, by the kind of the event;
    `passwords_withdrawn` the users who need a reset; `by_hand` what is left to a person.
    """

    events: int = 0
    done_again: int = 0
    sessions_ended: int = 0
    console_sessions_ended: int = 0
    passwords_withdrawn: list[str] = field(default_factory=list)
    lost: dict[str, list[str]] = field(default_factory=dict)
    by_hand: list[dict[str, str]] = field(default_factory=list)


def replay(paths: Sequence[Path]) -> Replayed:
    """Do again what these exports, in their order, tell and the database does not hold.

    Whole files alone are believed. What was replayed once is not replayed again. Raises Conflict
    where an export is not whole or does not reach back to the backup, UnreadableExport, OSError
    and rings.InvalidRing.
    """
    head = _verified(paths)
    result = Replayed()
    result.sessions_ended, result.console_sessions_ended = sessions.end_everybodys(REASON)
    for link in _unknown(paths):
        result.events += 1
        _replay_one(link.event or {}, result)
    audit.record(
        Kind.TRAIL_REPLAYED,
        object_id="",
        after={"position": head.position, "digest": head.digest, "events": result.events},
    )
    return result


def _verified(paths: Sequence[Path]) -> Head:
    report = None
    for path in paths:
        with path.open(encoding="ascii") as file:
            report = exported.verify(file, report)
    if report is None:
        raise Conflict("No export was named")
    if report.fault_count:
        fault = report.faults[0]
        raise Conflict(f"The exports are not whole: position {fault.position}: {fault.what}")
    with paths[0].open(encoding="ascii") as file:
        start, _ = exported.links(file)
    if not _reaches_back(start):
        raise Conflict(
            f"The exports begin at position {start.position}, after the end of the backup: name"
            " those before them too"
        )
    return report.head


def _reaches_back(start: Start) -> bool:
    """Whether nothing lies between the backup's end and what the exports begin with."""
    before = Seal.objects.filter(pk=start.position - 1).first()
    return start.position == 1 or (before is not None and bytes(before.digest) == start.before)


def _unknown(paths: Sequence[Path]) -> Iterator[Link]:
    """The links whose events the database does not hold, and that were not replayed before."""
    replayed = AuditEvent.objects.filter(kind=Kind.TRAIL_REPLAYED).values_list("after", flat=True)
    ends = {(int(after["position"]), str(after["digest"])) for after in replayed}
    known = [link.position for link in _links(paths) if (link.position, link.digest.hex()) in ends]
    begin = max(known, default=0)
    links = (link for link in _links(paths) if link.position > begin)
    while chunk := list(islice(links, CHUNK)):
        held = AuditEvent.objects.filter(pk__in=[link.event_id for link in chunk])
        there = set(held.values_list("pk", flat=True))
        yield from (link for link in chunk if link.event_id not in there)


def _links(paths: Sequence[Path]) -> Iterator[Link]:
    for path in paths:
        with path.open(encoding="ascii") as file:
            yield from exported.links(file)[1]


def _replay_one(event: Event, result: Replayed) -> None:
    """One event, in a transaction of its own."""
    kind, object_id = Kind(event["kind"]), str(event["object_id"])
    if kind in MAKES:
        made = event["after"].get("successor", object_id)
        result.lost.setdefault(str(kind), []).append(str(made))
    if kind not in AGAIN:
        return
    model, do = AGAIN[kind]
    try:
        with transaction.atomic():
            found = _found(model, object_id)
            if found is None:  # made after the backup, or ended since: nothing to take away
                return
            left = do(found, event)
    except Conflict as error:
        left = error.message
    else:
        result.done_again += 1
        if kind in WITHDRAW_PASSWORD and object_id not in result.passwords_withdrawn:
            result.passwords_withdrawn.append(object_id)
    if left is not None:
        told = {"event_id": event["id"], "kind": str(kind), "object_id": object_id, "why": left}
        result.by_hand.append(told)


def _found(model: type[Model], object_id: str) -> Model | None:
    if model is Group:  # as the console names one in the trail, beside other things
        prefix, _, number = object_id.partition("_")
        return Group.objects.filter(pk=number).first() if prefix == "group" else None
    return model._default_manager.filter(pk=object_id).first()
