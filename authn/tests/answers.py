"""What the service answers a client, one after the other, and the tokens that it gives."""

import json
import time
from collections.abc import Callable
from itertools import chain, repeat

from authn.client import Pair
from authn.tests.stub import UNAUTHORIZED, Answer, Seen, error, http

DEAD = http(401, UNAUTHORIZED)
OK = http(200, b'{"data":{"id":"acc_1"}}')
LIMITED = http(
    429, b'{"error":{"code":"RATE_LIMITED","message":"no","retry_after":7}}', Retry_After="7"
)
AWAY = error(503, "SERVICE_UNAVAILABLE")


def pair_answer(number: int) -> bytes:
    """A refresh that succeeds."""
    tokens = {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}"}
    return http(200, json.dumps({"data": {**tokens, "expires_in": 900}}).encode())


def pair(number: int = 0, *, left: float = 900) -> Pair:
    """The tokens of that number, the access token good for so many seconds more."""
    return Pair(f"access-{number}", f"refresh-{number}", time.time() + left)


def answering(*answers: Answer) -> Callable[[Seen], Answer]:
    """One answer after the other, and the last for ever."""
    following = chain(answers, repeat(answers[-1]))
    return lambda seen: next(following)
