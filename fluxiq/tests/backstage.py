"""A process beside the served one, for what no endpoint does: it acts on the same database.

Run as a script it reads a JSON line {"do": name, …} at a time, does it, commits, and answers with
one. A test starts it with `Backstage`; the names are the functions of `backstage_doer`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Self, TextIO

from fluxiq.tests.engines import AS_IN_PRODUCTION, PROJECT
from fluxiq.tests.waiting import wait_until

SEALED_WITHIN = 15.0  # seconds, on a busy machine; a worker seals each second


class Backstage:
    """The process, seen from a test. It does what `backstage_doer` has functions for."""

    def __init__(self, environment: Mapping[str, str], stderr: TextIO | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fluxiq.tests.backstage"],
            cwd=PROJECT,
            env={**os.environ, **AS_IN_PRODUCTION, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def do(self, name: str, **arguments: Any) -> Any:
        """Call that function there and return what it answers, once it is committed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": name, **arguments}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"{name} ended the process"
        return json.loads(answer)


def sealed(stage: Backstage) -> dict[str, Any]:
    """What a verification tells once the workers have sealed everything: the trail is whole."""
    report: dict[str, Any] = {}

    def nothing_waits() -> bool:
        report.update(stage.do("verify_trail"))
        assert not report["faults"], report
        return not report["waiting"]

    wait_until(nothing_waits, "the sealing of all", seconds=SEALED_WITHIN, pause=0.1)
    return report


def main() -> None:
    """Serve lines until there are no more."""
    import django  # noqa: PLC0415 - only the process that acts needs Django set up

    django.setup()
    from fluxiq.tests import backstage_doer  # noqa: PLC0415 - its models need Django set up

    # What else is printed, such as mail, is no answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        order = json.loads(line)
        answer = getattr(backstage_doer, order.pop("do"))(**order)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
