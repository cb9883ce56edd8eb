"""What the doctor says of each thing that it looked at."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How bad it is. An error is what stops something from working as it should."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what is so, and what to do about it where that is bad."""

    topic: str
    state: State
    text: str
    hint: str = ""


Findings = Iterator[Finding]


def ok(topic: str, text: str, hint: str = "") -> Finding:
    """As it should be."""
    return Finding(topic, State.OK, text, hint)


def bad(topic: str, text: str, hint: str) -> Finding:
    """Something does not work as it should, or will not."""
    return Finding(topic, State.ERROR, text, hint)


def doubtful(topic: str, text: str, hint: str) -> Finding:
    """Something works, and should be looked at."""
    return Finding(topic, State.WARNING, text, hint)
