"""Where the work in hand comes from: the actor, the address, the request.

A context variable, so that a rule on a model can write its audit event without every caller
passing the request down. Set by the middleware, the staff console and the commands.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Origin:
    """Who does something, and from where. Empty strings where there is nothing to tell."""

    actor_kind: str = "system"
    actor_id: str = ""
    address: str = ""
    user_agent: str = ""
    request_id: str = ""


_NOWHERE = Origin()
_current: ContextVar[Origin] = ContextVar("origin", default=_NOWHERE)


def current() -> Origin:
    """The origin of the work in hand."""
    return _current.get()


@contextmanager
def working_as(origin: Origin) -> Iterator[None]:
    """Set the origin for a block."""
    token = _current.set(origin)
    try:
        yield
    finally:
        _current.reset(token)


def name_actor(kind: str, actor_id: str) -> None:
    """Name the actor once it is verified, for the rest of the block in hand."""
    _current.set(replace(_current.get(), actor_kind=kind, actor_id=actor_id))
