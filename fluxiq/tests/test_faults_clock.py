"""A clock that is stepped back two minutes: no limit runs free, no token lives longer for it."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluxiq.tests.engines import PROJECT, EngineUnavailable, require
from fluxiq.tests.load import Client, Seen, ask_all, bearer, by_window, statuses
from fluxiq.tests.served import EMBEDDED, NO_LIMITS, Service, serving

pytestmark = [pytest.mark.engine, pytest.mark.proof]

API = "/api/v1"
LIMIT = 20
STEP = 120  # seconds


class Clock:
    """The clock of the day of the processes that are started with its environment."""

    def __init__(self, directory: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise EngineUnavailable("no clock that can be stepped: there is no C compiler")
        library = directory / "stepped_clock.so"
        source = PROJECT / "fluxiq" / "tests" / "stepped_clock.c"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        self._file = directory / "offset"
        self.set(0)
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(self._file)}

    def set(self, offset: int) -> None:
        """Let it be so many seconds off from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset}")
        new.replace(self._file)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Clock]]:
    """Four workers under a clock of their own, with a small limit for keys."""
    clock = require(lambda: Clock(tmp_path_factory.mktemp("clock")))
    limits = {"RATE_LIMIT_API_KEY": f"{LIMIT}/m"}
    with serving(EMBEDDED, {**NO_LIMITS, **limits, **clock.environment}) as service:
        yield service, clock


def ask(service: Service, key: str) -> list[Seen]:
    """Ask often enough to use up two windows."""
    seen = ask_all(
        Client(
            "key",
            [service.gunicorn.port],
            f"{API}/auth/verify",
            bearer(key),
            threads=4,
            times=3 * LIMIT,
        )
    )
    assert statuses(seen).keys() <= {200, 429}
    return seen


def test_a_step_back_opens_no_window_anew(running: tuple[Service, Clock]) -> None:
    service, clock = running
    seen = []
    for offset in (0, -STEP, -STEP, -STEP // 2, 0):
        clock.set(offset)
        seen += ask(service, service.demo["key"])
    windows = by_window(seen)
    assert len(windows) >= 3
    for answers in windows.values():
        assert answers[200] == min(LIMIT, answers.total()), windows


def test_a_token_lives_no_longer_than_the_step(running: tuple[Service, Clock]) -> None:
    service, clock = running
    clock.set(0)
    tokens = [service.sign_in()["access_token"] for _ in range(2)]
    kept, dropped = tokens

    def status(token: str) -> int:
        return service.call("GET", f"{API}/auth/me", token).status

    clock.set(850)  # of their 900 seconds
    assert service.call("POST", f"{API}/auth/logout", dropped).status == 204
    clock.set(910)  # past their end, and the leeway of five seconds
    assert status(kept) == 401
    clock.set(910 - STEP)
    assert status(kept) == 200  # as its clock has it, it has not ended
    assert status(dropped) == 401  # what was ended is
    clock.set(910)  # so long after the step
    assert status(kept) == 401
