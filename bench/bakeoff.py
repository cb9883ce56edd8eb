"""Which server serves this application best? Linux; run from the root:

    python3 -m venv /tmp/contenders
    /tmp/contenders/bin/pip install -r requirements.lock
    /tmp/contenders/bin/pip install gevent granian gunicorn_h1c
    .venv/bin/python -m bench.bakeoff --environment /tmp/contenders [--before OTHER_CHECKOUT]

Each contender serves the same database with two workers. They take turns under a mixed load (90%
verifications, 5% sign-ins, 5% pages of the console), in reversed order every other round; a ratio
is taken round by round. Then each stands 200 hostile connections of all kinds, while two clients
ask /healthz and /auth/verify. Everything but the ratios depends on how busy the machine is.
"""

import json
import os
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import load
from bench.load import CONNECTIONS
from bench.options import parser, prepare
from bench.processors import spent
from bench.report import Failed, Ratio, machine, say
from bench.servers import (
    BALANCED,
    HUGE_PAGES,
    THREADS,
    WORKERS,
    Engines,
    engines,
    filled,
    forget,
    running,
)
from fluxiq.tests.engines import PROJECT, free_port
from fluxiq.tests.hostile_clients import KINDS, Attack, by_client, bystanders, p95
from fluxiq.tests.load import Load
from fluxiq.tests.postgres_server import database
from fluxiq.tests.served import NO_LIMITS, SECRETS, manage

PEOPLE = 64
VERIFICATIONS = 18  # to one sign-in and one page
PAGE = "/admin/merchants/merchant/"
WARM_UP_SECONDS = 2
HOSTILE = 200
HOSTILE_SECONDS = 10
OURS, BEFORE, GEVENT = "this worker", "the worker before", "gunicorn's gevent"


@dataclass(frozen=True, slots=True)
class Contender:
    """A server: its command, but for the port, and where it runs."""

    name: str
    command: Sequence[str]
    directory: Path = PROJECT


def gunicorn(name: str, python: str, *options: str, directory: Path = PROJECT) -> Contender:
    """gunicorn with this project's configuration, and these options over it."""
    command = (python, "-m", "gunicorn", "fluxiq.wsgi", "-c", BALANCED, *options)
    return Contender(name, command, directory)


def contenders(options: Namespace) -> list[Contender]:
    """Ours first, then those that can be tried here."""
    slow_parser = ("--http-parser", "python")
    found = [gunicorn(OURS, sys.executable, *slow_parser)]
    if options.before:
        found.append(gunicorn(BEFORE, sys.executable, *slow_parser, directory=options.before))
    stock = ("--worker-class", "gthread", *slow_parser)
    found.append(gunicorn("gunicorn's gthread", sys.executable, *stock))
    if options.environment:
        python = str(options.environment / "bin" / "python")
        gevent = ("--worker-class", "gevent", *slow_parser)
        found.append(gunicorn(GEVENT, python, *gevent))
        found.append(gunicorn(f"{OURS} with gunicorn_h1c", python, "--http-parser", "fast"))
        granian = [str(options.environment / "bin" / "granian"), "--interface", "wsgi"]
        granian += ["fluxiq.wsgi:application", "--host", "127.0.0.1", "--no-ws"]
        granian += ["--workers", str(WORKERS), "--blocking-threads", str(THREADS)]
        found.append(Contender("granian", granian))
    return found


@contextmanager
def serving(contender: Contender, settings: Mapping[str, str]) -> Iterator[tuple[int, int]]:
    """The contender, running: its port, and its pid."""
    port = free_port()
    environment = {
        **settings,
        "BENCH_GUNICORN_CONF": "gunicorn.conf.py",
        "BENCH_CONNECTIONS": str(CONNECTIONS),
        "BIND_HOST": "127.0.0.1",
        "PORT": str(port),
        "WEB_CONCURRENCY": str(WORKERS),
        "WEB_THREADS": str(THREADS),
        "PYTHONPATH": str(contender.directory),
        **HUGE_PAGES,
    }
    if contender.name == GEVENT:
        environment["BENCH_GEVENT"] = "on"
    command = [*contender.command]
    if contender.name == "granian":
        command += ["--port", str(port)]
    url = f"http://127.0.0.1:{port}/healthz"
    with running(contender.name, command, contender.directory, environment, url) as pid:
        yield port, pid


def mixed(cast: Mapping[str, Any], cookie: str) -> list[str]:
    """The lines of the mixed load."""
    credentials = [c for pair in zip(cast["keys"], cast["tokens"], strict=True) for c in pair]
    verify = "GET /api/v1/auth/verify?permission=accounts:read Authorization: Bearer {}"
    lines = []
    for number, credential in enumerate(credentials):
        lines.append(verify.format(credential))
        if number % VERIFICATIONS == 0:
            document = cast["documents"][number % len(cast["documents"])]
            body = json.dumps({"document": document, "password": cast["password"]})
            lines += [f"POST /api/v1/auth/login {body}", f"GET {PAGE} Cookie: {cookie}"]
    return lines


def workers(pid: int) -> set[int]:
    """The processes that a server started."""
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def survives(contender: Contender, settings: Mapping[str, str], key: str) -> str:
    """What bystanders have of a contender under hostile connections."""
    with serving(contender, {**settings, "BENCH_SHARES": "off"}) as (port, pid):
        before = workers(pid)
        asking = Load(*bystanders(port, key))
        with Attack(port, HOSTILE, tuple(KINDS)), asking:
            time.sleep(HOSTILE_SECONDS)
        slow = by_client([seen for seen in asking.seen if seen.status], p95)
        failed = sum(not seen.status for seen in asking.seen)
        killed = len(before - workers(pid))
    told = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in slow.items()) or "no answer"
    return f"{told}; {len(asking.seen) - failed} answers, {failed} without; {killed} killed"


def measure(at: Engines, options: Namespace) -> None:
    """Measure, and print the tables."""
    with database(at.postgres) as url:
        settings = {
            **SECRETS,
            **NO_LIMITS,
            "DJANGO_SETTINGS_MODULE": "fluxiq.settings.production",
            "ALLOWED_HOSTS": "127.0.0.1",
            "DATABASE_URL": url,
            "REDIS_URL": at.valkey.url,
            "MFA_REQUIRED_FOR_STAFF": "False",
            "MFA_REQUIRED_FOR_SUPERUSERS": "False",
        }
        manage(settings, "migrate", "--no-input", "-v0")
        for directory in {contender.directory for contender in contenders(options)}:
            command = [sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"]
            subprocess.run(command, cwd=directory, env={**os.environ, **settings}, check=True)
        cast, cookie = filled(settings, f"people({PEOPLE})"), filled(settings, "staff()")
        forget(at.valkey.url)
        trying = contenders(options)
        found: dict[str, list[load.Load]] = {contender.name: [] for contender in trying}
        verified: dict[str, list[load.Load]] = {contender.name: [] for contender in trying}
        costs: dict[str, list[float]] = {contender.name: [] for contender in trying}
        lines = mixed(cast, cookie)
        only = [line for line in lines if "/auth/verify" in line]
        for number in range(options.rounds):
            for contender in trying if number % 2 else reversed(trying):
                with serving(contender, settings) as (port, pid):
                    at_port = (f"http://127.0.0.1:{port}",)
                    with suppress(Failed):  # a server that still warms up may answer nothing
                        load.drive(at_port, lines, kind="mixed", seconds=WARM_UP_SECONDS)
                    # A sign-in is refused where hashing is busy.
                    seen = load.drive(
                        at_port, lines, kind="mixed", seconds=options.seconds, may_refuse=True
                    )
                    before = spent(pid)
                    plain = load.drive(at_port, only, kind="mixed", seconds=options.seconds)
                    took = (spent(pid) - before) / plain.requests * 1e6
                found[contender.name].append(seen)
                verified[contender.name].append(plain)
                costs[contender.name].append(took)
                say(
                    f"  {contender.name}: {seen.rate:.0f}/s, p50 {seen.p50_ms:.1f} ms, p99"
                    f" {seen.p99_ms:.0f} ms; verifications: {plain.rate:.0f}/s, p50"
                    f" {plain.p50_ms:.1f} ms, p99 {plain.p99_ms:.0f} ms, {took:.0f} µs of a core"
                )
        stood = {each.name: survives(each, settings, cast["keys"][0]) for each in trying}
    reference = BEFORE if BEFORE in found else OURS
    about = machine()
    say(f"\n{about['date']}, {about['cores']} cores of {about['processor']}; to {reference}.\n")
    say("| server | load | requests a second | median | 99th percentile |\n|---|---|---|---|---|")
    for what, loads in (("mixed", found), ("verifications", verified)):
        for name, ours in loads.items():
            say(f"| {name} | {what} | {' | '.join(ratios(ours, loads[reference]))} |")
    say("\n| server | a core's time for a verification |\n|---|---|")
    for name, each in costs.items():
        say(f"| {name} | {Ratio.of(each, costs[reference])} |")
    say("\n| server | bystanders of 200 hostile connections: 95th percentile |\n|---|---|")
    for name, told in stood.items():
        say(f"| {name} | {told} |")


def ratios(ours: Sequence[load.Load], theirs: Sequence[load.Load]) -> list[str]:
    """The ratios of the rates, the medians and the 99th percentiles."""
    return [
        str(Ratio.of([getattr(one, what) for one in ours], [getattr(one, what) for one in theirs]))
        for what in ("rate", "p50_ms", "p99_ms")
    ]


def main() -> None:
    """Run it as a command."""
    options = parser()
    options.add_argument("--environment", type=Path, help="with gevent, granian, gunicorn_h1c")
    options.add_argument("--before", type=Path, help="another checkout, to compare with")
    given = options.parse_args()
    prepare()
    with engines() as at:
        measure(at, given)


if __name__ == "__main__":
    main()
