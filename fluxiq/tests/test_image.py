"""The Dockerfile, step by step: what goes in, that it is built, and that it runs with no rights."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from fluxiq.tests import jail
from fluxiq.tests.engines import EngineUnavailable, Process, free_port, require
from fluxiq.tests.image import Image, context, ignored
from fluxiq.tests.postgres_server import database, shared_postgres
from fluxiq.tests.served import SECRETS, manage
from fluxiq.tests.valkey_server import start_valkey

USER = 10001
WRITABLE = ("tmp", "dev/shm")


def test_only_what_the_service_runs_on_goes_in() -> None:
    files = context()
    assert {"manage.py", "gunicorn.conf.py", "requirements.lock", "fluxiq/wsgi.py"} < set(files)
    assert "fluxiq/locale/pt_BR/LC_MESSAGES/django.mo" in files
    tops = {path.partition("/")[0] for path in files}
    sources = {"accounts", "authn", "fluxiq", "merchants"}
    assert tops == sources | {"manage.py", "gunicorn.conf.py", "requirements.lock"}
    assert not [path for path in files if "/tests/" in path or "__pycache__" in path]


@pytest.mark.parametrize(
    ("path", "out"),
    [
        ("var/secrets.env", True),
        (".env", True),
        ("deploy/compose/secrets/SECRET_KEY", True),
        ("authn/tests/base.py", True),
        ("authn/mfa/tests/base.py", True),
        ("authn/mfa/factors.py", False),
        ("manage.py", False),
        ("manage.pyc", True),
    ],
)
def test_patterns_are_read_as_docker_reads_them(path: str, out: bool) -> None:
    patterns = ["*", "!authn", "!manage.py", "**/__pycache__", "**/tests"]
    assert ignored(path, patterns) is out


def scratch() -> Path:
    """A directory for an image; like an image, it is open to whoever runs there."""
    reason = jail.unavailable()

    def make() -> Path:
        if reason:
            raise EngineUnavailable(reason)
        return Path(tempfile.mkdtemp(prefix="fluxiq-image-"))

    directory = require(make)
    directory.chmod(0o755)
    return directory


@contextmanager
def running(image: Image) -> Iterator[tuple[Process, dict[str, str]]]:
    """The image's CMD on real engines, as its USER, on a root that is read-only."""
    postgres, valkey = require(shared_postgres), require(start_valkey)
    with database(postgres) as url:
        environment = {
            **SECRETS,
            **image.stage.environment,
            "ALLOWED_HOSTS": "auth.example.com",
            "DATABASE_URL": url,
            "REDIS_URL": valkey.url,
            "WEB_CONCURRENCY": "1",
            "BIND_HOST": "127.0.0.1",
            "PORT": str(free_port()),
        }
        manage({**environment, "PATH": os.environ["PATH"]}, "migrate", "--no-input")
        process = Process(
            image.jail(user=image.stage.user).command(*image.stage.command),
            directory=Path(tempfile.mkdtemp(prefix="fluxiq-image-run-")),
            stop_signal="TERM",
            environment=environment,
        )
        try:
            process.wait_until(lambda: answers(environment["PORT"]) == 200, what="the image")
            yield process, environment
        finally:
            process.stop()
            valkey.stop()


def answers(port: str, path: str = "/readyz", **headers: str) -> int:
    """The status of a GET; 0 where nothing listens."""
    connection = HTTPConnection("127.0.0.1", int(port), timeout=3)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def health(image: Image, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """HEALTHCHECK's command, as the engine runs it."""
    return jail.run(image.jail(user=image.stage.user), environment, *image.stage.health)


def prove(image: Image) -> None:
    """That an image that was built runs as it should."""
    assert image.stage.user == USER
    manifest = image.stage.root / "app/var/static/staticfiles.json"
    assert manifest.is_file()
    root = image.stage.root / "app"
    modes = {path.stat().st_mode & 0o022 for path in root.rglob("*") if not path.is_symlink()}
    assert modes == {0}, "others may write"
    assert {path.stat().st_uid for path in root.rglob("*")} == {0}
    before = sorted(path for path in image.stage.root.rglob("*") if "proc" not in path.parts)
    with running(image) as (process, environment):
        port = environment["PORT"]
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}" in status
        assert "NoNewPrivs:\t1" in status
        assert "CapEff:\t0000000000000000" in status
        assert answers(port, "/api/v1/auth/me", Host="auth.example.com") == 401
        # As a kubelet asks: by the address, of which ALLOWED_HOSTS knows nothing.
        assert answers(port, "/readyz", Host=f"10.1.2.3:{port}") == 200
        done = health(image, environment)
        assert done.returncode == 0, done.stderr
        own = Path(f"/proc/{process.pid}/root")
        for path in ("app/fluxiq/x", "opt/x", "etc/x", "var/x", "x"):
            with pytest.raises(OSError, match=r"Read-only file system|No such file"):
                (own / path).write_text("written by root itself")
        assert list((own / "dev/shm").iterdir())
        written = [path for place in WRITABLE for path in (own / place).rglob("*")]
        assert {path.stat().st_uid for path in written} == {USER}
        assert {path.stat().st_mode & 0o077 for path in written} == {0}
    assert health(image, environment).returncode != 0, "it is down, and said to be healthy"
    for complaint in ("Read-only", "Permission denied", "Traceback"):
        assert complaint not in process.log()
    after = sorted(path for path in image.stage.root.rglob("*") if "proc" not in path.parts)
    assert after == before


@pytest.mark.proof
def test_each_step_of_the_dockerfile_from_the_lock_on() -> None:
    directory = scratch()
    try:
        image = Image(directory)
        for step in image.steps:
            print(f"done: {step[:100]}")
        installed = jail.run(
            image.jail(), image.stage.environment, "pip", "list", "--format=freeze", "--local"
        )
        assert "Django==" in installed.stdout
        assert "pytest" not in installed.stdout
        prove(image)
    finally:
        shutil.rmtree(directory)
