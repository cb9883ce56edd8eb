"""The whole service as it is run: migrated, seeded, behind real gunicorn workers."""

import atexit
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from fluxiq.tests.backstage import Backstage
from fluxiq.tests.engines import AS_IN_PRODUCTION, PROJECT, Engine, require
from fluxiq.tests.gunicorn_server import Gunicorn
from fluxiq.tests.postgres_server import database, shared_postgres
from fluxiq.tests.valkey_server import start_valkey

EMBEDDED, SERVERS = "SQLite alone", "PostgreSQL and Valkey"
ENGINES = (EMBEDDED, SERVERS)

SECRETS = {
    "DJANGO_SETTINGS_MODULE": "fluxiq.settings.local",
    "SECRET_KEY": "secret-key-of-a-served-test-0123456789-0123456789",
    "JWT_SIGNING_KEYS": "served-1:signing-key-of-a-served-test-0123456789",
    "API_KEY_PEPPERS": "served-1:pepper-of-a-served-test-0123456789",
    "AUDIT_KEYS": "served-1:audit-key-of-a-served-test-0123456789",
    "MFA_KEYS": "served-1:sealing-key-of-a-served-test-0123456789",
}

# What may come from a file, and stands in the open nowhere in deploy/.
SECRET_NAMES = (
    *(name for name in SECRETS if name != "DJANGO_SETTINGS_MODULE"),
    *("DATABASE_URL", "REDIS_URL", "EMAIL_URL"),
)

TRIES, PAUSE = 100, 0.05  # of a sign-in, in seconds

# For tests of anything but the limits.
NO_LIMITS = {
    "RATE_LIMIT_API_KEY": "1000000/m",
    "RATE_LIMIT_JWT": "1000000/m",
    "RATE_LIMIT_ANONYMOUS": "1000000/m",
}


@dataclass(frozen=True)
class Answer:
    """What came back: the status, the headers by lower-case name, and the bytes."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.content)


@dataclass
class Service:
    """A running service, its environment, and what `seed_demo` told of it."""

    gunicorn: Gunicorn
    environment: Mapping[str, str]
    demo: dict[str, Any] = field(default_factory=dict)
    lifetime: ExitStack | None = None  # of what it starts beside itself
    _commands: Backstage | None = field(default=None, init=False)

    def call(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own. A body that is no bytes is sent as JSON."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.gunicorn.port, timeout=30)
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def sign_in(self, index: int = 0) -> dict[str, Any]:
        """A pair of tokens of the demo's user of that index (0 is the owner)."""
        user = self.demo["users"][index]
        body = {"document": user["document"], "password": user["password"]}
        answer, tries = self.call("POST", "/api/v1/auth/login", None, body), 1
        while answer.status == http.HTTPStatus.SERVICE_UNAVAILABLE and tries < TRIES:
            time.sleep(PAUSE)  # too many hash at once: a client comes back
            answer, tries = self.call("POST", "/api/v1/auth/login", None, body), tries + 1
        assert answer.status == http.HTTPStatus.OK, answer
        pair: dict[str, Any] = answer.json["data"]
        return pair

    def manage(self, *arguments: str, stdin: str | None = None) -> str:
        """What a management command prints, run in the service's environment.

        Where the service has a lifetime, one process beside it runs all of them: to start takes
        longer than most commands do.
        """
        if self.lifetime is None:
            return manage(self.environment, *arguments, stdin=stdin)
        if self._commands is None:
            self._commands = self.lifetime.enter_context(Backstage(self.environment))
        return run(self._commands, *arguments, stdin=stdin)


def manage(environment: Mapping[str, str], *arguments: str, stdin: str | None = None) -> str:
    """What a management command prints, run as a process of its own."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env={**os.environ, **AS_IN_PRODUCTION, **environment},
        capture_output=True,
        text=True,
        check=False,
        input=stdin,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(commands: Backstage, *arguments: str, stdin: str | None = None) -> str:
    """What a management command prints, run in that process."""
    printed: str = commands.do("manage", arguments=arguments, stdin=stdin)
    return printed


@contextmanager
def serving(
    engines: str,
    environment: Mapping[str, str],
    *,
    workers: int = 4,
    server: type[Gunicorn] = Gunicorn,
) -> Iterator[Service]:
    """A service with the demo's data, on SQLite alone or on PostgreSQL and Valkey."""
    secrets = tuple(environment.get(name) or SECRETS[name] for name in SECRETS)
    with (
        tempfile.TemporaryDirectory(prefix="fluxiq-served-") as scratch,
        _urls(engines, scratch, secrets) as (urls, demo),
    ):
        everything = {
            **SECRETS,
            **urls,
            "COUNTERS_PATH": str(Path(scratch) / "counters" / "counters.sqlite3"),
            **environment,
        }
        with server(everything, workers=workers) as gunicorn, ExitStack() as lifetime:
            yield Service(gunicorn, everything, demo, lifetime)


@contextmanager
def _urls(
    engines: str, scratch: str, secrets: tuple[str, ...]
) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """The environment that names the engines, and what the demo told that their database holds."""
    if engines == EMBEDDED:
        file, demo = seeded_file(secrets)
        shutil.copy(file, f"{scratch}/db.sqlite3")
        yield {"DATABASE_URL": f"sqlite:///{scratch}/db.sqlite3", "REDIS_URL": ""}, demo
        return
    postgres, valkey = require(shared_postgres), require(start_valkey)
    try:
        name, demo = seeded_database(postgres.url, secrets)
        with database(postgres, like=name) as url:
            yield {"DATABASE_URL": url, "REDIS_URL": valkey.url}, demo
    finally:
        valkey.stop()


@cache
def seeded_file(secrets: tuple[str, ...]) -> tuple[Path, dict[str, Any]]:
    """An SQLite file to copy: migrating and seeding take longer than all else before a start."""
    scratch = Path(tempfile.mkdtemp(prefix="fluxiq-seeded-"))
    atexit.register(shutil.rmtree, scratch)
    file = scratch / "db.sqlite3"
    return file, seed(f"sqlite:///{file}", secrets, scratch)


@cache
def seeded_database(postgres: str, secrets: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """The name of a database to copy, for as long as this process lives."""
    lifetime = ExitStack()
    # A server that was stopped before took its databases along.
    lifetime.enter_context(suppress(psycopg.OperationalError))
    atexit.register(lifetime.close)
    url = lifetime.enter_context(database(Engine(postgres)))
    scratch = lifetime.enter_context(tempfile.TemporaryDirectory(prefix="fluxiq-seeded-"))
    return urlsplit(url).path.lstrip("/"), seed(url, secrets, Path(scratch))


def seed(url: str, secrets: tuple[str, ...], scratch: Path) -> dict[str, Any]:
    """Migrate that database and fill it; what the demo told."""
    environment = {
        **dict(zip(SECRETS, secrets, strict=True)),
        "DATABASE_URL": url,
        "REDIS_URL": "",
        "COUNTERS_PATH": str(scratch / "counters.sqlite3"),
    }
    with Backstage(environment) as commands:
        run(commands, "migrate", "--no-input")
        demo: dict[str, Any] = json.loads(run(commands, "seed_demo", "--json"))
    return demo
