"""How long is a worker away that died? Linux; run from the root:

    .venv/bin/python -m bench.start

Kills the only worker of a service, and asks /readyz: the listener takes the question, and the next
worker answers it. In that time the master notices, forks, and the worker loads the project.
"""

import os
import signal
import statistics
import time
from http import HTTPStatus

from fluxiq.tests.served import ENGINES, Service, serving

ROUNDS = 11
GOAL = 1.5  # seconds


def replaced(service: Service) -> float:
    """The seconds from the death of the worker to the answer of the next."""
    *_, worker = service.gunicorn.process.family()
    began = time.perf_counter()
    os.kill(worker, signal.SIGKILL)
    answer = service.call("GET", "/readyz")
    spent = time.perf_counter() - began
    if answer.status != HTTPStatus.OK:
        raise SystemExit(f"expected 200, got {answer.status}: {answer.content!r}")
    return spent


def main() -> None:
    """Measure and print; the first round is not counted."""
    slowest = 0.0
    for engines in ENGINES:
        with serving(engines, {}, workers=1) as service:
            spent = [replaced(service) for _ in range(1 + ROUNDS)][1:]
        slowest = max(slowest, *spent)
        middle = statistics.median(spent)
        print(f"{engines:22} median {middle:.2f} s, slowest {max(spent):.2f} s")  # noqa: T201 - for who runs it
    raise SystemExit(slowest > GOAL)


if __name__ == "__main__":
    main()
