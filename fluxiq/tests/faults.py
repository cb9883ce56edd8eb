"""Engines that fail as they do in the field: frozen whole, killed, started again in their place."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from fluxiq.tests.engines import Engine, Process, require
from fluxiq.tests.gunicorn_server import Gunicorn
from fluxiq.tests.postgres_server import Cluster
from fluxiq.tests.served import SECRETS, Service, seed
from fluxiq.tests.valkey_server import start_valkey

WORKERS = 4
POOL = 5  # connections of a worker: its four threads', and one for what it does beside requests
ESTABLISHED = "01"  # in /proc/net/tcp


class Fallible:
    """A server of one test that can be frozen, killed, and started again at the same port."""

    def __init__(self, start: Callable[[], Engine]) -> None:
        self._start = start
        self._engine = start()
        self.url = self._engine.url

    def freeze(self) -> None:
        """Stop it whole: the kernel still accepts connections, and nothing answers."""
        self._engine.pause()

    def kill(self) -> None:
        """End it at once, as a machine that goes away would."""
        self._engine.kill()

    def bring_back(self) -> None:
        """Let it go on, or start it anew; return once it answers."""
        assert self._engine.process is not None
        self._engine.resume()
        time.sleep(0.05)  # for the kernel to have told of a death
        if not self._engine.process.running:
            self._engine.stop()
            self._engine = self._start()

    def stop(self) -> None:
        """End it."""
        self._engine.resume()
        self._engine.stop()


FAILURES: Mapping[str, Callable[[Fallible], None]] = {
    "frozen": Fallible.freeze,
    "killed": Fallible.kill,
}


@contextmanager
def fallible_valkey() -> Iterator[Fallible]:
    """A Valkey server that may fail."""
    first = require(lambda: start_valkey(None, "--maxmemory", "64mb"))
    port = urlsplit(first.url).port
    engines = iter([first])
    valkey = Fallible(
        lambda: next(engines, None) or start_valkey(port, "--maxmemory", "64mb"),
    )
    try:
        yield valkey
    finally:
        valkey.stop()


@contextmanager
def fallible_postgres() -> Iterator[Fallible]:
    """A PostgreSQL server that may fail. Its files outlive its processes."""
    directory = Path(tempfile.mkdtemp(prefix="fluxiq-cluster-"))
    # They go when the tests do, even where those are killed.
    files = Process(["sleep", "infinity"], directory=directory, stop_signal="TERM")
    try:
        cluster = require(lambda: Cluster(directory))
        postgres = Fallible(
            lambda: cluster.start(Path(tempfile.mkdtemp(prefix="fluxiq-postgres-")))
        )
        try:
            yield postgres
        finally:
            postgres.stop()
    finally:
        files.stop()


@contextmanager
def serving_on(
    database_url: str, redis_url: str, environment: Mapping[str, str], *, workers: int = WORKERS
) -> Iterator[Service]:
    """So many workers on these engines, with the demo's data, which they are given first."""
    with tempfile.TemporaryDirectory(prefix="fluxiq-served-") as scratch:
        demo = seed(database_url, tuple(SECRETS.values()), Path(scratch))
        everything = {
            **SECRETS,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "COUNTERS_PATH": str(Path(scratch) / "counters" / "counters.sqlite3"),
            **environment,
        }
        with Gunicorn(everything, workers=workers) as gunicorn:
            yield Service(gunicorn, everything, demo)


class Connections(threading.Thread):
    """Looks, every few milliseconds, how many connections to a port these servers have open.

    The kernel is asked, since a server that is frozen cannot be. `most` is the most it saw.
    """

    def __init__(self, url: str, *servers: Gunicorn) -> None:
        super().__init__()
        port = urlsplit(url).port
        assert port is not None
        self._remote = f":{port:04X}"
        self._processes = [pid for server in servers for pid in server.process.family()]
        self._stopped = threading.Event()
        self.most = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stopped.set()
        self.join()

    def _now(self) -> int:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        open_ones = {
            f"socket:[{row[9]}]"
            for row in rows
            if row[2].endswith(self._remote) and row[3] == ESTABLISHED
        }
        return len(open_ones & set(self._sockets()))

    def _sockets(self) -> Iterator[str]:
        for process in self._processes:
            for file in Path(f"/proc/{process}/fd").iterdir():
                with suppress(FileNotFoundError):  # it was closed just now
                    yield str(file.readlink())

    def run(self) -> None:
        while not self._stopped.wait(0.02):
            self.most = max(self.most, self._now())
