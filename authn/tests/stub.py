"""An HTTP server that answers what a test tells it to, byte for byte, well formed or not."""

import json
import socketserver
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

UNAUTHORIZED = (
    b'{"error":{"code":"UNAUTHORIZED","message":"Invalid or expired authentication token"}}'
)


@dataclass(frozen=True)
class Seen:
    """A request as it came: its target, and its headers by lower-case name."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)


def http(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A response of that status; `Content_Type` names a header, and its length is its own."""
    named = {"Content-Length": str(len(body)), "Content-Type": "application/json"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} As told", *(f"{k}: {v}" for k, v in named.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def error(status: int, code: str, message: str = "no", **extra: Any) -> bytes:
    """The envelope's bytes in a response."""
    return http(status, json.dumps({"error": {"code": code, "message": message, **extra}}).encode())


LIMITS = {
    "X_RateLimit_Limit": "1000",
    "X_RateLimit_Remaining": "997",
    "X_RateLimit_Reset": "1706961600",
}


def granted(permissions: str = "pix:write", **changes: str) -> bytes:
    """The answer to a question about a key with these permissions."""
    told = {
        "X_Auth_Kind": "api_key",
        "X_Auth_Subject": "key_1",
        "X_Auth_Merchants": "mer_1",
        "X_Auth_Permissions": permissions,
        **LIMITS,
        **changes,
    }
    return http(200, b'{"data":{}}', **told)


Answer = bytes | Iterable[bytes] | None


class Stub(socketserver.ThreadingTCPServer):
    """Listens on loopback. `reply` makes an answer, of one piece or several; None hangs up."""

    daemon_threads = True
    request_queue_size = 128  # with the usual five, many at once wait a second for their SYN
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, reply: Callable[[Seen], Answer] | bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply: Callable[[Seen], Answer] = (
            (lambda seen: reply) if isinstance(reply, bytes) else reply
        )
        self.seen: list[Seen] = []
        self.connections = 0
        self.ended = threading.Event()  # for a reply that waits for ever
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()


class _Handler(socketserver.StreamRequestHandler):
    server: Stub

    def handle(self) -> None:
        self.server.connections += 1
        while (seen := self._read()) is not None:
            self.server.seen.append(seen)
            answer = self.server.reply(seen)
            if answer is None:
                return
            try:
                for piece in (answer,) if isinstance(answer, bytes) else answer:
                    self.wfile.write(piece)
            except ConnectionError:
                return  # the client has left
            if isinstance(answer, bytes) and b"Connection: close" in answer:
                return

    def _read(self) -> Seen | None:
        try:
            line = self.rfile.readline()
            if not line.strip():
                return None
            method, target, _ = line.decode("latin-1").split(" ", 2)
            headers = {}
            while (line := self.rfile.readline()).strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            self.rfile.read(int(headers.get("content-length", 0)))
        except ConnectionError:
            return None
        return Seen(method, target, headers)
