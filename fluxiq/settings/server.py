"""What gunicorn is told by the environment; commands check it too."""

import os
from dataclasses import dataclass
from ipaddress import IPv4Network

from fluxiq.addresses import Network
from fluxiq.settings.readers import MAX_PORT, host, integer, networks, number

MAX_DRAIN = MAX_REQUEST = 60 * 60  # seconds


@dataclass(frozen=True, slots=True)
class Server:
    """Where it listens, with how many workers and threads, what it bounds, how it ends, whom it
    believes."""

    host: str
    port: int
    workers: int
    threads: int
    max_requests: int
    request_seconds: int
    connections_per_address: int
    drain_seconds: float
    proxies: tuple[Network, ...]

    @property
    def bind(self) -> str:
        """The address as gunicorn takes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def peers(self) -> str:
        """The proxies as gunicorn compares them: IPv4 also as IPv6 sockets show it."""
        mapped = [
            f"::ffff:{network.network_address}/{96 + network.prefixlen}"
            for network in self.proxies
            if isinstance(network, IPv4Network)
        ]
        return ",".join([*map(str, self.proxies), *mapped])


def read() -> Server:
    """What the environment says, or the defaults. Raises ImproperlyConfigured."""
    production = os.environ.get("DJANGO_SETTINGS_MODULE") == "fluxiq.settings.production"
    return Server(
        # Outside production nobody but this machine can connect, unless BIND_HOST says so.
        host=host("BIND_HOST", "0.0.0.0" if production else "127.0.0.1"),  # noqa: S104 - in a container
        port=integer("PORT", 8000, 1, MAX_PORT),
        workers=integer("WEB_CONCURRENCY", max(2, min(os.cpu_count() or 1, 8)), 1),
        threads=integer("WEB_THREADS", 4, 1),
        # Off (0) by default; with it, workers restart after about as many, not all at once.
        max_requests=integer("WEB_MAX_REQUESTS", 0),
        # For a request's head and body together.
        request_seconds=integer("REQUEST_SECONDS", 10, 1, MAX_REQUEST),
        # Of each worker; 0 is no bound.
        connections_per_address=integer("CONNECTIONS_PER_ADDRESS", 100),
        # Between SIGTERM and the end, so that balancers find out (fluxiq.draining).
        drain_seconds=number("DRAIN_SECONDS", 5 if production else 0, MAX_DRAIN),
        proxies=networks("TRUSTED_PROXIES"),
    )


def metrics() -> tuple[str, int]:
    """The address and the port of the metrics; 0 without a port. Raises ImproperlyConfigured."""
    return host("METRICS_HOST", "127.0.0.1"), integer("METRICS_PORT", 0, 1, MAX_PORT)
