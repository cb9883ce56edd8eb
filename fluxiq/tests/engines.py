"""What tests run beside themselves: processes that end with them, and engines by their URLs.

PostgreSQL, Valkey and gunicorn are in `postgres_server`, `valkey_server` and `gunicorn_server`:

    postgres = require(shared_postgres)
    with database(postgres) as url, Gunicorn({"DATABASE_URL": url, ...}) as server:
        urlopen(server.url + "/healthz")

`DATABASE_URL` (of a PostgreSQL server) and `REDIS_URL`, where set, name servers to use instead of
starting one.
"""

import atexit
import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 20.0
STOP_SECONDS = 10.0

# On the PYTHONPATH of what is to find the packages of production alone.
AS_IN_PRODUCTION = {"PYTHONPATH": str(Path(__file__).with_name("production"))}

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


def wheel(package: str, engine: str, variable: str) -> Path:
    """Where the package that brings an engine's programs is installed. It is not imported."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise EngineUnavailable(
            f"no {engine}: {package} is not installed, and {variable} names no server"
        )
    return Path(found.origin).parent
