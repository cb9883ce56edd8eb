"""What is measured, as it is run: the service under its production settings, and its peers."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import redis

from bench.load import CONNECTIONS, ask
from bench.report import Failed, say
from fluxiq.tests.engines import PROJECT, Engine, EngineUnavailable, Process, free_port
from fluxiq.tests.postgres_server import database, shared_postgres
from fluxiq.tests.served import NO_LIMITS, SECRETS, manage
from fluxiq.tests.valkey_server import start_valkey

HERE = Path(__file__).parent
PEERS = HERE / "peers"
LOCK = HERE / "requirements.lock"
BALANCED = str(HERE / "balanced.py")
# In the project's own environment, so that `make clean` removes it.
PEERS_ENVIRONMENT = Path(sys.prefix) / "peers"

WORKERS, THREADS = 2, 4
# As the service is delivered: Dockerfile, the systemd unit, `make run`.
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
PEOPLE = 64  # whose credentials take turns
SHOWN = 4000  # characters of a server's log, where a measurement fails


@dataclass(frozen=True, slots=True)
class Engines:
    """The servers that the service and the peers share, each with a database of its own."""

    postgres: Engine
    valkey: Engine


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: its URLs, that of its workers' parent, and what it was filled with."""

    urls: tuple[str, ...]
    pid: int
    environment: Mapping[str, str]
    cast: Mapping[str, Any]

    def at(self, path: str) -> tuple[str, ...]:
        """The URLs of this path."""
        return tuple(url + path for url in self.urls)


@contextmanager
def engines() -> Iterator[Engines]:
    """PostgreSQL and Valkey. Raises Failed where there is none for this platform."""
    try:
        postgres, valkey = shared_postgres(), start_valkey(port=free_port())
    except EngineUnavailable as reason:
        raise Failed(str(reason)) from reason
    try:
        yield Engines(postgres, valkey)
    finally:
        valkey.stop()


@contextmanager
def service(
    database_url: str,
    redis_url: str,
    *,
    environment: Mapping[str, str] | None = None,
    fill: str = f"people({PEOPLE})",
    threads: int = THREADS,
) -> Iterator[Served]:
    """The service, its tables made and, where `fill` names one, filled by a call of `bench.cast`.

    Without a Redis URL it counts for itself, and remembers no caller.
    """
    with tempfile.TemporaryDirectory(prefix="fluxiq-bench-", dir=_shared_memory()) as scratch:
        settings = {
            **SECRETS,
            **NO_LIMITS,
            "DJANGO_SETTINGS_MODULE": "fluxiq.settings.production",
            "ALLOWED_HOSTS": "127.0.0.1",
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "COUNTERS_PATH": str(Path(scratch) / "counters.sqlite3"),
            **(environment or {}),
        }
        manage(settings, "migrate", "--no-input", "-v0")
        cast = filled(settings, fill) if fill else {}
        if redis_url:
            forget(redis_url)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        gunicorn = {
            **settings,
            "BENCH_GUNICORN_CONF": "gunicorn.conf.py",
            "BENCH_CONNECTIONS": str(CONNECTIONS),
            "BIND_HOST": "127.0.0.1",
            "PORT": str(port),
            "WEB_CONCURRENCY": str(WORKERS),
            "WEB_THREADS": str(threads),
            **HUGE_PAGES,
        }
        command = [sys.executable, "-m", "gunicorn", "fluxiq.wsgi", "-c", BALANCED]
        with running("the service", command, PROJECT, gunicorn, f"{url}/healthz") as pid:
            yield Served((url,), pid, settings, cast)


def forget(redis_url: str) -> None:
    """Have nothing remembered: whoever has just become a member lies under a tombstone, and so
    would be looked up in the database for a minute."""
    for url in nodes_of(redis_url):
        redis.Redis.from_url(url).flushdb()


def nodes_of(redis_url: str) -> list[str]:
    """The URL of each server that this one names: of a cluster, there are several."""
    scheme, _, hosts = redis_url.partition("+cluster://")
    return [f"{scheme}://{host}" for host in hosts.split(",")] if hosts else [redis_url]


def filled(settings: Mapping[str, str], fill: str) -> Any:
    """What a call of `bench.cast` made in the database of these settings."""
    return json.loads(
        manage(settings, "shell", "-v0", "-c", f"from bench import cast; cast.{fill}")
    )


@contextmanager
def peers(
    at: Engines, *, refresh_tokens: int = 0, fastapi: bool = True
) -> Iterator[tuple[Served, Served]]:
    """The stock peers: those of Django in one project, and FastAPI's."""
    python = peers_python()
    with ExitStack() as stack:
        settings = {
            "DJANGO_SETTINGS_MODULE": "settings",
            "PEERS_DATABASE_URL": stack.enter_context(database(at.postgres)),
            "PEERS_REDIS_URL": at.valkey.url.removesuffix("/0") + "/1",
            "PEERS_SECRET_KEY": secrets.token_urlsafe(48),
            "BENCH_CONNECTIONS": str(CONNECTIONS),
        }
        seed = f"import seed; seed.main({PEOPLE}, {refresh_tokens})"
        cast = json.loads(_peers_django(python, settings, "shell", "-v0", "-c", seed))
        port = free_port()
        # The shape that gunicorn.conf.py gives the service.
        shape = ["--worker-class", "gthread", "--keep-alive", "30", "--log-level", "warning"]
        shape += ["--workers", str(WORKERS), "--threads", str(THREADS)]
        shape += ["--bind", f"127.0.0.1:{port}", "--no-control-socket"]
        wsgi = "django.core.wsgi:get_wsgi_application()"
        command = [python, "-m", "gunicorn", wsgi, "-c", BALANCED, *shape]
        url = f"http://127.0.0.1:{port}"
        process = running("the peers", command, PEERS, settings, f"{url}/plain/static")
        django = Served((url,), stack.enter_context(process), settings, cast)
        urls = []
        # A process for each port: uvicorn's workers do not share the connections evenly.
        for _ in range(WORKERS if fastapi else 0):
            port = free_port()
            command = [python, "-m", "uvicorn", "fastapi_app:app", "--port", str(port)]
            command += ["--no-access-log", "--log-level", "warning"]
            urls.append(f"http://127.0.0.1:{port}")
            process = running("FastAPI", command, PEERS, settings, f"{urls[-1]}/healthz")
            stack.enter_context(process)
        yield django, Served(tuple(urls), 0, settings, cast)


def peers_python() -> str:
    """The Python of the peers' environment, which is made where it is missing or out of date."""
    python = str(PEERS_ENVIRONMENT / "bin" / "python")
    stamp = PEERS_ENVIRONMENT / "requirements.lock"
    if not stamp.exists() or stamp.read_bytes() != LOCK.read_bytes():
        say(f"Installing the peers into {PEERS_ENVIRONMENT}")
        _run([sys.executable, "-m", "venv", "--clear", str(PEERS_ENVIRONMENT)])
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*install, "--require-hashes", "-r", str(LOCK)])
        # Last, so that an install that failed is tried again.
        stamp.write_bytes(LOCK.read_bytes())
    return python


def _peers_django(python: str, settings: Mapping[str, str], *arguments: str) -> str:
    environment = {**os.environ, **settings, "PYTHONPATH": str(PEERS)}
    return _run([python, "-m", "django", *arguments], environment)


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        list(command),
        cwd=PEERS,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


@contextmanager
def running(
    what: str,
    command: Sequence[str],
    directory: Path,
    settings: Mapping[str, str],
    ready: str,
) -> Iterator[int]:
    """A server, up once the URL `ready` answers 200; yields its pid.

    Where the block fails, what the server printed is shown.
    """
    process = Process(
        command,
        directory=Path(tempfile.mkdtemp(prefix="fluxiq-bench-")),
        stop_signal="TERM",
        environment={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **settings},
        working_directory=directory,
    )
    try:
        process.wait_until(lambda: _answers(ready), what=what)
        yield process.pid
    except BaseException:
        if printed := process.log().strip():
            say(f"{what} printed last:\n{printed[-SHOWN:]}")
        raise
    finally:
        process.stop()


def _answers(url: str) -> bool:
    try:
        return ask(url, None)[0] == HTTPStatus.OK
    except OSError:
        return False


def _shared_memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a fresh directory in it
