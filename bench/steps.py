"""Where the microseconds of a request go, in process. Run from the root:

    .venv/bin/python -m bench.steps            # prints, and draws docs/images/request-cost.svg

The WSGI application is called directly, without a socket, on PostgreSQL and Valkey and under the
production settings. Timers stand around the functions named in STEPS; a step is what its
functions take themselves, without those of other steps that they call.
"""

import functools
import io
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import django

from bench.calls import ACCOUNTS, VERIFY
from bench.plot import stacked_bars
from bench.report import Failed, say
from bench.servers import engines, service
from fluxiq.tests.postgres_server import database

REQUESTS, WARM_UP = 3_000, 500
CALIBRATION = 50_000
PLOT = Path("docs") / "images" / "request-cost.svg"

REST = "Django: request, handler, response"
STEPS: Mapping[str, tuple[str, ...]] = {
    "other middleware": (
        "fluxiq.middleware:OutermostMiddleware.__call__",
        "fluxiq.middleware:BrowserMiddleware.__call__",
    ),
    "routing": ("django.urls.resolvers:URLResolver.resolve",),
    "the gate: decide, settle, headers": (
        "authn.middleware:GateMiddleware.__call__",
        "authn.middleware:GateMiddleware.process_view",
    ),
    "recognise the credential": ("authn.recognition:recognise",),
    "django-ratelimit and the counters": ("authn.ratelimit:count_remembered",),
    "the trip to Valkey": ("fluxiq.counters.server:Server._send",),
    "DRF: dispatch": ("rest_framework.views:APIView.dispatch",),
    "the view": (
        "authn.views.verify:VerifyView.get",
        "merchants.views:AccountListView.get",
    ),
    "read the rows": ("merchants.models.payment_account:PaymentAccountManager.newest_shown",),
    "the pool and the statement": ("fluxiq.database:rows_of",),
    "render JSON": ("rest_framework.response:Response.render",),
}


class Clock:
    """Adds up what each step takes of one request, in nanoseconds."""

    def __init__(self) -> None:
        self.spent: dict[str, int] = defaultdict(int)
        self._within: list[int] = []
        self._own = 0
        self._own = self._calibrate()

    def timed(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time added to the step's."""

        @functools.wraps(function)
        def wrapper(*arguments: Any, **named: Any) -> Any:
            self._within.append(0)
            began = time.perf_counter_ns()
            try:
                return function(*arguments, **named)
            finally:
                took = time.perf_counter_ns() - began
                self.spent[step] += took - self._within.pop()
                if self._within:
                    self._within[-1] += took + self._own

        return wrapper

    def _calibrate(self) -> int:
        """What a timer costs beside what it times."""

        def nothing() -> None:
            return None

        def took(function: Callable[[], None]) -> int:
            began = time.perf_counter_ns()
            for _ in range(CALIBRATION):
                function()
            return time.perf_counter_ns() - began

        timer = self.timed("", nothing)
        beside = took(timer) - self.spent.pop("")
        return max(0, beside // CALIBRATION)


def stand_around(clock: Clock) -> None:
    """Put a timer around each function of STEPS. Raises Failed where one is not there."""
    for step, names in STEPS.items():
        for name in names:
            module, _, path = name.partition(":")
            *owners, last = path.split(".")
            try:
                owner = functools.reduce(getattr, owners, import_module(module))
                function = getattr(owner, last)
            except (ImportError, AttributeError) as error:
                raise Failed(f"STEPS names {name}, which is not there: {error}") from error
            setattr(owner, last, clock.timed(step, function))


class Caller:
    """Makes one and the same request, over and over."""

    def __init__(self, application: Callable[..., Any], path: str, credential: str) -> None:
        self._application = application
        target, _, query = path.partition("?")
        self._environment = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": target,
            "QUERY_STRING": query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "127.0.0.1:8000",
            "HTTP_ACCEPT": "*/*",
            "HTTP_AUTHORIZATION": f"Bearer {credential}",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        self._status = ""

    def __call__(self) -> None:
        answer = self._application({**self._environment, "wsgi.input": io.BytesIO()}, self._start)
        content = b"".join(answer)
        answer.close()
        if not self._status.startswith("200"):
            raise Failed(f"answered {self._status}: {content[:300]!r}")

    def _start(self, status: str, headers: Iterable[tuple[str, str]], info: object = None) -> None:
        self._status = status


def whole(caller: Caller) -> float:
    """The median of a request without any timer within, in microseconds."""
    taken = []
    for n in range(WARM_UP + REQUESTS):
        began = time.perf_counter_ns()
        caller()
        if n >= WARM_UP:
            taken.append(time.perf_counter_ns() - began)
    return statistics.median(taken) / 1000


def parts(caller: Caller, clock: Clock) -> dict[str, float]:
    """The median of each step that this request takes, in microseconds."""
    seen: dict[str, list[int]] = defaultdict(list)
    request = clock.timed(REST, caller)
    for n in range(WARM_UP + REQUESTS):
        clock.spent.clear()
        request()
        if n >= WARM_UP:
            for step in (REST, *STEPS):
                seen[step].append(clock.spent.get(step, 0))
    medians = {step: statistics.median(each) / 1000 for step, each in seen.items()}
    return {step: median for step, median in medians.items() if median}


def measure() -> dict[str, tuple[float, dict[str, float]]]:
    """For each kind of request: all of it, and its steps."""
    with (
        engines() as at,
        database(at.postgres) as url,
        service(url, at.valkey.url, fill="people(1)") as served,
    ):
        os.environ.update(served.environment)
        django.setup()
        clock = Clock()
        key, token = served.cast["keys"][0], served.cast["tokens"][0]
        calls = {
            "/auth/verify, API key": (VERIFY, key),
            "/auth/verify, access token": (VERIFY, token),
            "/accounts, API key": (ACCOUNTS, key),
            "/accounts, access token": (ACCOUNTS, token),
        }
        application = import_module("fluxiq.wsgi").application
        all_of = {
            name: whole(Caller(application, path, credential))
            for name, (path, credential) in calls.items()
        }
        stand_around(clock)
        # Made anew: the first one holds some of the functions as they were.
        timed = import_module("django.core.wsgi").get_wsgi_application()
        return {
            name: (all_of[name], parts(Caller(timed, path, credential), clock))
            for name, (path, credential) in calls.items()
        }


def main() -> None:
    """Measure, print, draw."""
    found = measure()
    for name, (all_of_it, steps) in found.items():
        say(f"\n{name}: {all_of_it:.0f} µs")
        for step, spent in steps.items():
            say(f"  {spent:7.1f} µs  {step}")
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    bars = {name: steps for name, (_, steps) in found.items()}
    PLOT.write_text(stacked_bars("Where the time of a request goes", "µs", bars))
    say(f"\nDrawn: {PLOT}")


if __name__ == "__main__":
    main()
