"""Where the work in hand comes from: the actor, the address, the request.

A context variable, so that a rule on a model can write its audit event without every caller
passing the request down. Set by the middleware, the staff console and the commands.
"""

from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Origin:
    """Who does something, and from where. Empty strings where there is nothing to tell.

    One is made for each piece of work, and learns its actor once that is verified.
    """

    actor_kind: str = "system"
    actor_id: str = ""
    address: str = ""
    user_agent: str = ""
    request_id: str = ""
    request: Any = None  # of a request: itself, for the log alone


_current: ContextVar[Origin | None] = ContextVar("origin", default=None)


def current() -> Origin:
    """The origin of the work in hand."""
    return _current.get() or Origin()


class working_as:  # noqa: N801 - read as the verb that it is in `with working_as(…):`
    """Set the origin for a block. (A class, since a generator's block costs each request more.)"""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def __enter__(self) -> None:
        self._token: Token[Origin | None] = _current.set(self._origin)

    def __exit__(self, *raised: object) -> None:
        _current.reset(self._token)


def name_actor(kind: str, actor_id: str) -> None:
    """Name the actor once it is verified, for the rest of the block in hand."""
    origin = _current.get()
    if origin is not None:
        origin.actor_kind, origin.actor_id = kind, actor_id
