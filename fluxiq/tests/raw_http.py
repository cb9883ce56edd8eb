"""What goes over a connection between a client and a worker, byte for byte."""

import socket
import time
from contextlib import suppress

from fluxiq.tests.served import Service

HEAD, BODY, MORE = b"HTTP/1.1 200 OK\r\n\r\n", b"body", b"more"
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

Parsed = tuple[int, dict[str, str], bytes]


def answers(received: bytes) -> list[Parsed]:
    """The status, headers by lower-case name and body of each answer, whole, in order. Each is to
    state its length."""
    found = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (each.partition(": ") for each in lines)
        }
        length = int(headers["content-length"])
        assert len(received) >= length, "an answer is cut off"
        found.append((int(first.split()[1]), headers, received[:length]))
        received = received[length:]
    return found


def connect(
    service: Service, source: str = "127.0.0.1", *, takes: int | None = None
) -> socket.socket:
    """A connection from this address of the machine, which takes about so many bytes unread."""
    client = socket.socket()
    if takes is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, takes)
    client.settimeout(10)
    client.bind((source, 0))
    client.connect(("127.0.0.1", service.gunicorn.port))
    return client


def until_closed(client: socket.socket) -> tuple[bytes, float]:
    """All that comes until the server closes, and the seconds until then."""
    began, received = time.monotonic(), b""
    with suppress(ConnectionResetError):
        while data := client.recv(65536):
            received += data
    return received, time.monotonic() - began
