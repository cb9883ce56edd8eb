"""Is the trail whole? Every link is computed again, and what stands outside the chain is found."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from django.db.models import Exists, OuterRef

from fluxiq.audit import chain, ring
from fluxiq.audit.chain import Fault, Link, Start
from fluxiq.audit.models import AuditEvent, Checkpoint, PendingEvent, Prune, Seal

MAX_FAULTS = 100  # that are told one by one; all are counted

Step = Callable[[int], object]  # told how far a walk has come, in links


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain at one moment, to be kept elsewhere and compared later."""

    position: int
    digest: str  # hexadecimal


@dataclass
class Report:
    """What a verification found: sound links, the head, events that wait for their seal."""

    sound: int = 0
    first: int = 1
    head: Head = field(default_factory=lambda: Head(0, ""))
    waiting: int = 0
    fault_count: int = 0
    faults: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Count a fault, and keep it where there is room."""
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)


def ignore(done: int) -> None:
    """Nobody watches."""


def verify(expected: Head | None = None, step: Step = ignore) -> Report:
    """Check the whole trail, and that it still holds a head that was exported before.

    It reads a chunk at a time, takes no lock, and may run beside writers, the one who seals, and
    a prune. Raises rings.InvalidRing.
    """
    while True:
        start, faults = beginning()
        waiting = PendingEvent.objects.count()  # before the head is read: of 0, all is in the walk
        report = _walk(start, step)
        if beginning()[0] == start:
            break  # else a prune moved it meanwhile, and some of what was gone went rightly
    for fault in (*faults, *_cut(report.head.position, expected), *_outside()):
        report.add(fault)
    report.waiting = waiting
    return report


def _walk(start: Start, step: Step) -> Report:
    """What is found from the start to the head."""
    position, digest = chain.head()
    report = Report(first=start.position, head=Head(position, digest.hex()))
    links = chain.links(start.position, position)
    for number, found in enumerate(chain.faults(start, links)):
        if isinstance(found, Link):
            report.sound += 1
        else:
            report.add(found)
        step(number + 1)
    return report


def beginning() -> tuple[Start, list[Fault]]:
    """Where the chain begins: at 1, or at the last checkpoint below which may be pruned.

    Only a leave to prune, and a checkpoint, under a key of the ring count; others are faults.
    """
    keys = ring.by_id()
    start, faults = Start(1, chain.GENESIS), []
    for prune in Prune.objects.select_related("checkpoint").order_by("checkpoint_id"):
        checkpoint = prune.checkpoint
        key = keys.get(prune.key_id)
        made = key is not None and key.made(bytes(prune.mac), chain.prune_message(prune))
        if made and is_genuine(checkpoint):
            start = Start(checkpoint.position, bytes(checkpoint.before))
        else:
            what = "the leave to prune below it is not under a key of AUDIT_KEYS"
            faults.append(Fault(checkpoint.position, "", what))
    return start, faults


def is_genuine(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint is as it was made, under a key of the ring."""
    key = ring.by_id().get(checkpoint.key_id)
    return key is not None and key.made(bytes(checkpoint.mac), chain.checkpoint_message(checkpoint))


def _cut(head: int, expected: Head | None) -> Iterator[Fault]:
    """Heads that were exported, here or to elsewhere, and that the chain does not hold."""
    known = [
        (checkpoint.position, bytes(checkpoint.digest), "a checkpoint")
        for checkpoint in Checkpoint.objects.order_by("position")
    ]
    if expected is not None and expected.position > 0:
        known.append((expected.position, bytes.fromhex(expected.digest), "the head that was kept"))
    first = Seal.objects.order_by("position").values_list("position", flat=True).first() or 0
    for position, digest, name in known:
        if position > head:
            yield Fault(position, "", f"{name} is beyond the end: the chain was cut off at {head}")
        elif position >= first:
            there = Seal.objects.filter(pk=position).values_list("digest", flat=True).first()
            if there is not None and bytes(there) != digest:
                yield Fault(position, "", f"{name} has another digest: the chain was made anew")


def _outside() -> Iterator[Fault]:
    """Events that nobody sealed and that do not wait for it, and those gone while they did."""
    sealed = Seal.objects.filter(event_id=OuterRef("pk"))
    waits = PendingEvent.objects.filter(event_id=OuterRef("pk"))
    # One statement, and so one moment: an event that is being sealed is in one of the two.
    events = AuditEvent.objects.filter(~Exists(sealed), ~Exists(waits)).order_by("pk")
    for event_id in events.values_list("pk", flat=True)[:MAX_FAULTS]:
        yield Fault(None, event_id, "no seal: it was put in, or its seal removed, past the service")
    there = AuditEvent.objects.filter(pk=OuterRef("event_id"))
    gone = PendingEvent.objects.filter(~Exists(there)).order_by("event_id")
    for event_id in gone.values_list("event_id", flat=True)[:MAX_FAULTS]:
        yield Fault(None, event_id, "the event was removed before it was sealed")
