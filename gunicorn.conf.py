"""gunicorn's settings, each from the environment where an operator may want another."""

import os
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger

from fluxiq import draining, preloading
from fluxiq.logs import logging_config
from fluxiq.metrics import listener
from fluxiq.server.worker import Bounds
from fluxiq.settings.environment import Variables

_environ = Variables(cache=False)

_production = os.environ.get("DJANGO_SETTINGS_MODULE") == "fluxiq.settings.production"
# Outside production nobody but this machine can connect, unless BIND_HOST says so.
_host = _environ.get("BIND_HOST") or ("0.0.0.0" if _production else "127.0.0.1")
_port = _environ.get("PORT") or "8000"
bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"

worker_class = "fluxiq.server.worker.Worker"  # gthread, whose threads never wait for a client
workers = int(_environ.get("WEB_CONCURRENCY") or max(2, min(os.cpu_count() or 1, 8)))
threads = int(_environ.get("WEB_THREADS") or 4)
preload_app = False  # new code by SIGHUP; the libraries are (fluxiq.preloading)

# Of each worker: a full one closes those that wait longest, and never runs out of descriptors.
worker_connections = 500
_bounds = Bounds(
    request_seconds=float(_environ.get("REQUEST_SECONDS") or 10),
    connections_per_address=int(_environ.get("CONNECTIONS_PER_ADDRESS") or 100),
)
if not 0 < _bounds.request_seconds <= 3600:  # noqa: PLR2004 - an hour, and not NaN
    raise ValueError("REQUEST_SECONDS must be a number of seconds over 0, at most 3600")
if _bounds.connections_per_address < 0:
    raise ValueError("CONNECTIONS_PER_ADDRESS must be a number, or 0 for no bound")


def post_fork(server: Any, worker: Any) -> None:
    """Tell a new worker its bounds."""
    worker.bounds = _bounds


# A proxy in front must drop idle connections sooner, or it will write to one that was just closed.
keepalive = 30
graceful_timeout = 30
# Off (0) by default; with it, workers restart after about as many requests, not all at once.
max_requests = int(_environ.get("WEB_MAX_REQUESTS") or 0)
max_requests_jitter = max_requests // 10

# Between SIGTERM and the end, so that balancers find out: see fluxiq.draining. 0 stops at once.
_drain_seconds = float(_environ.get("DRAIN_SECONDS") or (5 if _production else 0))
if not 0 <= _drain_seconds <= 3600:  # noqa: PLR2004 - an hour, and not NaN
    raise ValueError("DRAIN_SECONDS must be a number of seconds, at most 3600")


def when_ready(server: Any) -> None:
    """The master serves: from here on SIGTERM drains."""
    if _drain_seconds:
        draining.Drain(server, _drain_seconds).install()


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
logconfig_dict = logging_config("json" if _production else "console")  # masked like the rest


def on_starting(server: Any) -> None:
    """Before any worker is: the socket of METRICS_PORT, and the libraries, which they share."""
    listener.open_once()
    preloading.import_libraries()


limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190


def _peers(trusted: str) -> list[str]:
    """TRUSTED_PROXIES as gunicorn compares them: no host bits, and IPv4 as IPv6 sockets show it."""
    items = (item.strip() for item in trusted.split(","))
    networks = [ip_network(item, strict=False) for item in items if item]
    mapped = [
        f"::ffff:{network.network_address}/{96 + network.prefixlen}"
        for network in networks
        if isinstance(network, IPv4Network)
    ]
    return [*map(str, networks), *mapped]


# Only these peers are believed about the scheme (wsgi.url_scheme), and about nothing else: gunicorn
# would also take SCRIPT_NAME and PATH_INFO from their headers, which some proxies let clients send.
forwarded_allow_ips = ",".join(_peers(_environ.get("TRUSTED_PROXIES", "")))
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
forwarder_headers = ""
