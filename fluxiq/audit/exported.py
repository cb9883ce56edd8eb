"""Reading an export again: is the file whole, and does it follow on the one before?"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TextIO

from fluxiq.audit import chain
from fluxiq.audit.chain import Fault, Link, Start
from fluxiq.audit.models import Checkpoint
from fluxiq.audit.verification import Head, Report, Step, ignore, is_genuine


class UnreadableExport(ValueError):
    """A file is no export; the message says why."""


@dataclass
class _Reader:
    """The lines of one export, and what stood in the last ones."""

    lines: Iterator[tuple[int, dict[str, Any]]]
    last: Link | None = None
    checkpoint: Checkpoint | None = None

    def begin(self) -> Start:
        number, values = next(self.lines, (1, {}))
        try:
            begin = values["begin"]
            return Start(int(begin["position"]), bytes.fromhex(begin["before"]))
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableExport(f"line {number} does not tell where it begins") from error

    def links(self) -> Iterator[Link]:
        for number, values in self.lines:
            try:
                if "checkpoint" in values:
                    self.checkpoint = _checkpoint(values["checkpoint"])
                    continue
                self.last = _link(values)
            except (KeyError, TypeError, ValueError) as error:
                raise UnreadableExport(f"line {number} is no link") from error
            yield self.last


def verify(file: TextIO, report: Report | None = None, step: Step = ignore) -> Report:
    """Check an export by itself, without the database: its links, and its checkpoint.

    `report` is that of the export before, which this one has to follow, and is added to. Raises
    UnreadableExport, and rings.InvalidRing.
    """
    reader = _Reader(_read(file))
    start = reader.begin()
    if report is None:
        report = Report(first=start.position)
    elif report.head != Head(start.position - 1, start.before.hex()):
        report.add(Fault(start.position, "", "it does not follow on the export before"))
    for number, found in enumerate(chain.faults(start, reader.links())):
        if isinstance(found, Link):
            report.sound += 1
        else:
            report.add(found)
        step(number + 1)
    last, checkpoint = reader.last, reader.checkpoint
    if last is not None:
        report.head = Head(last.position, last.digest.hex())
    if checkpoint is None:
        report.add(Fault(report.head.position, "", "no checkpoint: the end was cut off"))
    elif not is_genuine(checkpoint) or report.head != Head(
        checkpoint.position, checkpoint.digest.hex()
    ):
        report.add(Fault(report.head.position, "", "the checkpoint is not that of the last link"))
    return report


def links(file: TextIO) -> tuple[Start, Iterator[Link]]:
    """Where an export begins, and its links as they stand; `verify` is what judges them.

    Raises UnreadableExport, also while the links are read.
    """
    reader = _Reader(_read(file))
    return reader.begin(), reader.links()


def _read(file: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, 1):
        try:
            values = json.loads(line)
        except ValueError as error:
            raise UnreadableExport(f"line {number} is no JSON") from error
        if not isinstance(values, dict):
            raise UnreadableExport(f"line {number} is no object")
        yield number, values


def _link(values: dict[str, Any]) -> Link:
    event = values["event"]
    return Link(
        int(values["position"]),
        str(event["id"]),
        str(values["key_id"]),
        datetime.fromisoformat(values["sealed_at"]),
        bytes.fromhex(values["digest"]),
        {**event, "at": datetime.fromisoformat(event["at"])},
    )


def _checkpoint(values: dict[str, Any]) -> Checkpoint:
    return Checkpoint(
        position=int(values["position"]),
        before=bytes.fromhex(values["before"]),
        digest=bytes.fromhex(values["digest"]),
        exported_at=datetime.fromisoformat(values["exported_at"]),
        key_id=str(values["key_id"]),
        mac=bytes.fromhex(values["mac"]),
    )
