"""gunicorn serving this project, for tests."""

import http.client
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from fluxiq.tests.engines import AS_IN_PRODUCTION, PROJECT, Process, free_port
from fluxiq.tests.waiting import wait_until


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
            **AS_IN_PRODUCTION,
            "BIND_HOST": "127.0.0.1",
            "PORT": str(self.port),
            "WEB_CONCURRENCY": str(workers),
            **environment,
        }
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self._process = Process(
            self.command(),
            directory=Path(tempfile.mkdtemp(prefix="fluxiq-gunicorn-")),
            stop_signal="TERM",
            environment=self._environment,
            working_directory=PROJECT,
        )
        self._process.wait_until(self._healthy, what=type(self).__name__)
        return self

    def __exit__(self, *raised: object) -> None:
        self.process.stop()

    def command(self) -> Sequence[str | Path]:
        """What is started."""
        return [sys.executable, "-m", "gunicorn", "fluxiq.wsgi", "-c", "gunicorn.conf.py"]

    @property
    def process(self) -> Process:
        assert self._process is not None, "not entered"
        return self._process

    def workers(self) -> set[int]:
        """The pids of its workers."""
        master = self.process.pid
        children = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii")
        return {int(pid) for pid in children.split()}

    def reload(self) -> None:
        """Send HUP; return once every worker is a new one, and one of them serves.

        A worker that is told to stop before it has begun does not hear it.
        """
        before = self.workers()
        os.kill(self.process.pid, signal.SIGHUP)

        def are_new() -> bool:
            now = self.workers()
            return len(now) == len(before) and not now & before

        wait_until(are_new, "the workers to be replaced")
        wait_until(self._healthy, "the new workers to serve")

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
