"""What stands behind a gateway: an upstream that tells what reached it, or one that is mute."""

import hashlib
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, cast

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Call:
    """A call as it reached the upstream."""

    method: str
    path: str
    headers: Headers
    length: int
    digest: str

    def all(self, name: str) -> list[str]:
        """The values of a header, in whatever case it came."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        upstream = cast("_Server", self.server).upstream
        digest, length = hashlib.sha256(), 0
        for piece in self._pieces():
            digest.update(piece)
            length += len(piece)
        headers = tuple(self.headers.items())
        upstream.calls.append(Call(self.command, self.path, headers, length, digest.hexdigest()))
        self.send_response(upstream.status)
        for name, value in upstream.headers:
            self.send_header(name, value)
        body = b"" if upstream.status == HTTPStatus.NO_CONTENT else upstream.body
        if body:
            self.send_header("Content-Length", str(len(body)))
        elif upstream.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", "0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815 - as http.server asks

    def _pieces(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            piece = self.rfile.read(min(left, 65536))
            if not piece:
                return
            left -= len(piece)
            yield piece

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Nothing: the calls are kept."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    upstream: "Upstream"

    def process_request(self, request: Any, client_address: Any) -> None:
        self.upstream.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A gateway may drop a connection; anything else is a fault of this server."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Upstream:
    """A small server that keeps what it was sent and answers what it is told to.

    Also stands in for the service where a test wants an answer that the service would not give.
    """

    def __init__(
        self,
        status: int = 200,
        body: bytes = b'{"data":{"from":"upstream"}}',
        headers: Headers = (("Content-Type", "application/json"),),
    ) -> None:
        self.status, self.body, self.headers = status, body, headers
        self.calls: list[Call] = []
        self.connections = 0

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.upstream = self
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def forget(self) -> None:
        """Forget the calls and count connections anew."""
        self.calls.clear()
        self.connections = 0


@contextmanager
def mute() -> Iterator[int]:
    """The port of a server that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        yield listener.getsockname()[1]


class Relay:
    """Passes bytes on to a port of this machine, and counts connections and bytes sent."""

    def __init__(self, target: int) -> None:
        self.connections = self.sent = 0
        relay = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                relay.connections += 1
                with socket.create_connection(("127.0.0.1", target)) as onward:
                    back = threading.Thread(
                        target=_pump, args=(onward, self.request, lambda n: None), daemon=True
                    )
                    back.start()
                    _pump(self.request, onward, relay._count)
                    back.join()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def _count(self, sent: int) -> None:
        self.sent += sent

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _pump(source: socket.socket, target: socket.socket, count: Callable[[int], None]) -> None:
    try:
        while piece := source.recv(65536):
            count(len(piece))
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One end is gone: so is the other, and the gateway's answer is what the test looks at.
        source.close()
        target.close()
