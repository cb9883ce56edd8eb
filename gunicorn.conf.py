"""gunicorn's settings, each from the environment where an operator may want another."""

import os
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger

from fluxiq import draining, preloading
from fluxiq.logs import logging_config
from fluxiq.metrics import listener
from fluxiq.server.worker import Bounds
from fluxiq.settings import preflight
from fluxiq.settings import server as configured

_production = os.environ.get("DJANGO_SETTINGS_MODULE") == "fluxiq.settings.production"
preloading.import_libraries()  # for the workers, and for the child that checks the settings
with preflight.refusals():
    preflight.check()
    _server = configured.read()
    logconfig_dict = logging_config("json" if _production else "console")  # masked like the rest

bind = _server.bind

worker_class = "fluxiq.server.worker.Worker"  # gthread, whose threads never wait for a client
workers = _server.workers
threads = _server.threads
preload_app = False  # new code by SIGHUP; the libraries are (fluxiq.preloading)

# Of each worker: a full one closes those that wait longest, and never runs out of descriptors.
worker_connections = 500
_bounds = Bounds(_server.request_seconds, _server.connections_per_address)


def post_fork(server: Any, worker: Any) -> None:
    """Tell a new worker its bounds."""
    worker.bounds = _bounds


# A proxy in front must drop idle connections sooner, or it will write to one that was just closed.
keepalive = 30
graceful_timeout = 30
max_requests = _server.max_requests
max_requests_jitter = max_requests // 10


def when_ready(server: Any) -> None:
    """The master serves: from here on SIGTERM drains, and HUP refuses what cannot be used."""
    preflight.refuse_bad_reloads(server)
    if _server.drain_seconds:
        draining.Drain(server, _server.drain_seconds).install()


def pre_request(worker: Any, request: Any) -> None:
    """No client is left with a connection that it would use again once we are gone."""
    if draining.is_draining():
        request.force_close()


# Heartbeats in memory: on a disk a slow write would look like a hung worker.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
# Nothing here is managed at run time, and the socket would be one more file to write.
control_socket_disable = True


class NoAccessLog(Logger):  # type: ignore[misc]
    """The application writes the log lines of requests. With a logconfig, gunicorn would put
    together one of its own for each, and then drop it."""

    def access(self, *about: Any) -> None:
        """Nothing."""


accesslog = None
logger_class = NoAccessLog


def on_starting(server: Any) -> None:
    """Before any worker is: the socket of METRICS_PORT, which they share."""
    with preflight.refusals():
        listener.open_once()


limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190

# Only these peers are believed about the scheme (wsgi.url_scheme), and about nothing else: gunicorn
# would also take SCRIPT_NAME and PATH_INFO from their headers, which some proxies let clients send.
forwarded_allow_ips = _server.peers
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
forwarder_headers = ""
