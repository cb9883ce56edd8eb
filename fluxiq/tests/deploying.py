"""Traffic that notices each failed request, and a pair of servers behind nginx to replace."""

import http.client
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from fluxiq.tests.gateways import Gateway, nginx_before_two
from fluxiq.tests.gunicorn_server import Gunicorn
from fluxiq.tests.served import NO_LIMITS, Service, serving
from fluxiq.tests.waiting import wait_until

CLIENTS = 4
DRAIN = 1
# Two that nginx may send twice, and one that it may not.
ASKED = (
    ("GET", "/api/v1/accounts"),
    ("POST", "/api/v1/auth/introspect"),
    ("GET", "/api/v1/auth/verify?permission=pix:write"),
)


class Traffic:
    """Clients that ask without pause: one request after another, each of which must be answered.

    With `keep_alive` a client keeps its connection for as long as the server does. It never asks
    twice: where the server says `Connection: close` it connects anew, and all else is a failure.
    """

    def __init__(self, port: int, key: str, *, keep_alive: bool) -> None:
        self._port, self._key, self._keep_alive = port, key, keep_alive
        self.answered = 0
        self.failures: Counter[str] = Counter()
        self.slowest = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, more: int) -> None:
        """Return once so many more requests were answered or failed."""
        target = self.asked + more
        wait_until(lambda: self.asked >= target, f"{more} requests")

    @property
    def asked(self) -> int:
        """Requests that were answered or failed."""
        return self.answered + self.failures.total()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        if not self._keep_alive:
            headers["Connection"] = "close"
        body = json.dumps({"token": self._key}).encode()
        number = 0
        while not self._stop.is_set():
            method, path = ASKED[number % len(ASKED)]
            number += 1
            began = time.monotonic()
            try:
                connection.request(method, path, body if method == "POST" else None, headers)
                response = connection.getresponse()
                response.read()
                fault = "" if response.status == http.HTTPStatus.OK else str(response.status)
            except (OSError, http.client.HTTPException) as error:
                fault = repr(error)
                connection.close()
            with self._lock:
                self.slowest = max(self.slowest, time.monotonic() - began)
                if fault:
                    self.failures[f"{method}: {fault}"] += 1
                else:
                    self.answered += 1
        connection.close()


def reload(server: Gunicorn) -> None:
    """SIGHUP, and wait until none of the workers is one of before."""
    before = server.workers()
    os.kill(server.process.pid, signal.SIGHUP)
    wait_until(lambda: bool(server.workers()) and not server.workers() & before, "new workers")


class Pair:
    """Two servers behind nginx, and how one is replaced while the other serves."""

    def __init__(self, service: Service, nginx: Gateway, servers: list[Gunicorn]) -> None:
        self.service, self.nginx, self.servers = service, nginx, servers

    def replace(self, index: int) -> None:
        """SIGTERM to one, wait for its end, and start it again at the same port."""
        server = self.servers[index]
        os.kill(server.process.pid, signal.SIGTERM)
        wait_until(lambda: not server.process.running, "its end")
        server.__exit__(None, None, None)
        server.__enter__()
        time.sleep(2.5)  # until nginx tries it again: fail_timeout, and a little


@contextmanager
def pair(engines: str, *, drain: int = DRAIN) -> Iterator[Pair]:
    """Two servers of two workers each, over one database, behind nginx."""
    with serving(engines, {**NO_LIMITS, "DRAIN_SECONDS": str(drain)}, workers=2) as service:
        second = Gunicorn(service.environment, workers=2)
        with second, nginx_before_two(service.gunicorn.port, second.port) as nginx:
            yield Pair(service, nginx, [service.gunicorn, second])
