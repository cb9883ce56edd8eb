"""Waiting for a condition, and never for a time to pass."""

import time
from collections.abc import Callable


def wait_until(
    ready: Callable[[], bool], what: str = "it", *, seconds: float = 120.0, pause: float = 0.005
) -> None:
    """Return once it is ready, looked at after each pause; fail where it is not in time."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(pause)
