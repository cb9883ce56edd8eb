"""The services of docs/examples, each run as its reader would run it."""

import http.client
import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fluxiq.tests.engines import PROJECT, EngineUnavailable, Process, free_port
from fluxiq.tests.gateways import Reply, send
from fluxiq.tests.upstreams import Headers

EXAMPLES = PROJECT / "docs" / "examples"
EXPRESS = EXAMPLES / "express"
TYPESCRIPT = EXAMPLES / "typescript"


class Example:
    """A running example on a port of its own."""

    def __init__(self, port: int, process: Process) -> None:
        self.port, self.process = port, process

    def call(
        self, method: str, path: str, token: str | None = None, headers: Headers = ()
    ) -> Reply:
        """One call on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            return send(connection, method, path, token, body=b"{}", headers=headers)
        finally:
            connection.close()


@contextmanager
def _running(
    name: str, port: int, command: Sequence[str | Path], environment: Mapping[str, str], cwd: Path
) -> Iterator[Example]:
    process = Process(
        command,
        directory=Path(tempfile.mkdtemp(prefix="fluxiq-example-")),
        stop_signal="TERM",
        environment=environment,
        working_directory=cwd,
    )

    def listens() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
        except OSError:
            return False
        return True

    process.wait_until(listens, what=name)
    try:
        yield Example(port, process)
    finally:
        process.stop()


@contextmanager
def django_example(scratch: Path, **settings: str) -> Iterator[Example]:
    """The Django service, where nothing of this project is but a copy of authn/client."""
    package = scratch / "authn" / "client"
    if not package.exists():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / "authn" / "client", package, ignore=ignored)
        shutil.copy(EXAMPLES / "django" / "pix_service.py", scratch)
    port = free_port()
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    command = [
        *(sys.executable, "-m", "gunicorn", "pix_service:application", "--no-control-socket"),
        *("--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "4"),
    ]
    with _running("the Django example", port, command, {**kept, **settings}, scratch) as example:
        yield example


def node(example: Path = EXPRESS) -> Path:
    """Node, where what the example needs is installed. Raises EngineUnavailable."""
    program = shutil.which("node")
    if program is None:
        raise EngineUnavailable("no Node: apt-get install nodejs npm")
    if _packages(example / "node_modules" / ".package-lock.json") != _packages(
        example / "package-lock.json"
    ):
        raise EngineUnavailable(f"no Node packages: npm ci, in docs/examples/{example.name}")
    return Path(program)


def _packages(lock: Path) -> dict[str, str]:
    """The integrity of each package that a lock file of npm names; none where it is not there."""
    if not lock.exists():
        return {}
    packages = json.loads(lock.read_text())["packages"]
    return {path: package["integrity"] for path, package in packages.items() if path}


@contextmanager
def express_example(program: Path, auth_url: str) -> Iterator[Example]:
    """The Express service."""
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "FLUXIQ_AUTH_URL": auth_url, "PORT": str(port)}
    command: list[str | Path] = [program, "server.js"]
    with _running("the Express example", port, command, environment, EXPRESS) as example:
        yield example
