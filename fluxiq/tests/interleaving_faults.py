"""Two operations, interleaved in every way: what went wrong.

What an operation took away is used for nothing by a request that began before, once it is answered
2xx: nothing is written by it afterwards, and no token that was got by it lives. What serves once
serves one of two. Nothing is answered 5xx.
"""

import itertools
from dataclasses import dataclass
from functools import partial

from fluxiq.tests.interleaved import Answer, call, is_signed_in_at_the_console, make_world
from fluxiq.tests.interleaved_operations import Operation
from fluxiq.tests.interleaving import Arena, Interleaved

SERVER_ERROR = 500


@dataclass
class Count:
    """How many interleavings there were and in how many of them one waited."""

    pairs: int = 0
    interleavings: int = 0
    waited: int = 0


def try_alone(operation: Operation) -> Answer:
    """What the operation answers when nobody is beside it."""
    return operation.request(make_world(second_factor=bool(operation.second_factor)))


def interleave(arena: Arena, taking: Operation, using: Operation, count: Count) -> list[str]:
    """Every interleaving of the two, each of them held in turn: the faults."""
    faults: list[str] = []
    for held, other in {(taking, using), (using, taking)}:
        for at in itertools.count(1):
            world = make_world(second_factor=bool(taking.second_factor or using.second_factor))
            done = arena.interleave(partial(held.request, world), partial(other.request, world), at)
            if done is None:
                break
            count.interleavings += 1
            count.waited += not done.overtook
            found = _judge(done, taking, using, taking_is_held=held is taking)
            where = f"{taking.name} · {using.name}, {held.name} held at {at}"
            faults += [f"{where}: {what}" for what in found]
    count.pairs += 1
    return faults


def _judge(
    done: Interleaved[Answer], taking: Operation, using: Operation, *, taking_is_held: bool
) -> list[str]:
    answers = (done.held, done.other)
    faults = [f"answered {answer.status}" for answer in answers if answer.status >= SERVER_ERROR]
    if taking is using:
        served = sum(answer.succeeded for answer in answers)
        return faults if served == 1 else [*faults, f"served {served} times"]
    if not all(answer.succeeded for answer in answers):
        return faults
    taker, user = ("held", "other") if taking_is_held else ("other", "held")
    if using.signs_in:  # it gives a session, whenever its row was written
        return [*faults, "its session lives"] if _lives(answers[taking_is_held]) else faults
    return [*faults, "wrote after it was taken"] if done.wrote_after(user, taker) else faults


def _lives(signed_in: Answer) -> bool:
    """Whether any token that was answered is accepted."""
    if "console" in signed_in.data:
        return is_signed_in_at_the_console(signed_in.data["console"])
    token, refresh = signed_in.data["access_token"], signed_in.data["refresh_token"]
    is_accepted = call("GET", "/auth/me", token).succeeded
    return is_accepted or call("POST", "/auth/refresh", None, {"refresh_token": refresh}).succeeded
