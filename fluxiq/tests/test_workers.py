"""An answer leaves gunicorn in one write, and nothing is held that nobody flushes."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fluxiq.tests.served import EMBEDDED, NO_LIMITS, Service, serving
from fluxiq.workers import JoinedWrites

HEAD, BODY, MORE = b"HTTP/1.1 200 OK\r\n\r\n", b"body", b"more"


class TestJoinedWrites:
    @pytest.fixture
    def peers(self) -> Iterator[tuple[JoinedWrites, socket.socket]]:
        client, server = socket.socketpair()
        client.settimeout(0)
        with client, server:
            yield JoinedWrites(server), client

    def received(self, client: socket.socket) -> bytes:
        with suppress(BlockingIOError):
            return client.recv(1000)
        return b""

    def test_the_head_goes_with_the_body(self, peers: tuple[JoinedWrites, socket.socket]) -> None:
        joined, client = peers
        joined.sendall(HEAD)
        assert self.received(client) == b""
        joined.sendall(BODY)
        assert self.received(client) == HEAD + BODY

    def test_what_follows_goes_as_it_comes(self, peers: tuple[JoinedWrites, socket.socket]) -> None:
        joined, client = peers
        for data in (HEAD, BODY, MORE):
            joined.sendall(data)
        assert self.received(client) == HEAD + BODY + MORE
        joined.sendall(MORE)
        assert self.received(client) == MORE

    def test_a_head_alone_is_sent_once_by_a_flush(
        self, peers: tuple[JoinedWrites, socket.socket]
    ) -> None:
        joined, client = peers
        joined.sendall(HEAD)
        joined.flush()
        joined.flush()
        assert self.received(client) == HEAD

    def test_a_file_comes_after_the_head(
        self, peers: tuple[JoinedWrites, socket.socket], tmp_path: Path
    ) -> None:
        joined, client = peers
        (tmp_path / "file").write_bytes(BODY)
        joined.sendall(HEAD)
        with (tmp_path / "file").open("rb") as file:
            joined.sendfile(file)
        assert self.received(client) == HEAD + BODY

    def test_what_comes_before_the_head_is_not_held(
        self, peers: tuple[JoinedWrites, socket.socket]
    ) -> None:
        joined, client = peers
        joined.send(MORE)
        assert self.received(client) == MORE


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(EMBEDDED, NO_LIMITS, workers=1) as running:
        yield running


@pytest.mark.engine
class TestServed:
    def test_a_small_answer_is_one_packet(self, service: Service) -> None:
        with socket.create_connection(("127.0.0.1", service.gunicorn.port)) as client:
            for _ in range(20):
                client.sendall(b"GET /api/v1/accounts HTTP/1.1\r\nHost: localhost\r\n\r\n")
                head, _, body = client.recv(65536).partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 401 Unauthorized")
                assert f"Content-Length: {len(body)}\r\n".encode() in head + b"\r\n"

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("HEAD", "/healthz", 200),
            ("GET", "/static/fluxiq/docs.css", 200),
            ("GET", "/api/v1/docs", 200),
            ("GET", "/admin", 302),
            ("GET", "/nowhere", 404),
        ],
    )
    def test_every_kind_of_answer_is_whole_and_the_connection_lives_on(
        self, service: Service, method: str, path: str, status: int
    ) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", service.gunicorn.port, timeout=10)
        for _ in range(3):
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == status
            length = answer.getheader("Content-Length")
            assert method == "HEAD" or length is None or len(body) == int(length)
        connection.close()
