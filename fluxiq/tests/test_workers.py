"""A small answer is one write, a busy connection keeps its thread, and nothing is lost by it."""

import http.client
import itertools
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http.errors import InvalidResponseHeader
from gunicorn.workers.gthread import TConn

from fluxiq.malformed import Refusal
from fluxiq.tests.served import EMBEDDED, NO_LIMITS, Service, serving
from fluxiq.workers import READ_BYTES, Client, Worker, may_stay

HEAD, BODY, MORE = b"HTTP/1.1 200 OK\r\n\r\n", b"body", b"more"
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class TestClient:
    @pytest.fixture
    def peers(self) -> Iterator[tuple[Client, socket.socket]]:
        peer, server = socket.socketpair()
        peer.settimeout(0)
        with peer, server:
            yield Client(server), peer

    def received(self, peer: socket.socket) -> bytes:
        with suppress(BlockingIOError):
            return peer.recv(1000)
        return b""

    def test_the_head_goes_with_the_body(self, peers: tuple[Client, socket.socket]) -> None:
        client, peer = peers
        client.hold_head()
        client.sendall(HEAD)
        assert self.received(peer) == b""
        client.sendall(BODY)
        assert self.received(peer) == HEAD + BODY

    def test_what_follows_goes_as_it_comes(self, peers: tuple[Client, socket.socket]) -> None:
        client, peer = peers
        client.hold_head()
        for data in (HEAD, BODY, MORE):
            client.sendall(data)
        assert self.received(peer) == HEAD + BODY + MORE
        client.sendall(MORE)
        assert self.received(peer) == MORE

    def test_a_head_alone_is_sent_once_by_a_flush(
        self, peers: tuple[Client, socket.socket]
    ) -> None:
        client, peer = peers
        client.hold_head()
        client.sendall(HEAD)
        client.flush()
        client.flush()
        assert self.received(peer) == HEAD

    def test_after_a_flush_nothing_is_held(self, peers: tuple[Client, socket.socket]) -> None:
        client, peer = peers
        client.hold_head()
        client.flush()
        client.sendall(HEAD)
        assert self.received(peer) == HEAD

    def test_a_file_comes_after_the_head(
        self, peers: tuple[Client, socket.socket], tmp_path: Path
    ) -> None:
        client, peer = peers
        (tmp_path / "file").write_bytes(BODY)
        client.hold_head()
        client.sendall(HEAD)
        client.setblocking(True)
        with (tmp_path / "file").open("rb") as file:
            client.sendfile(file)
        assert self.received(peer) == HEAD + BODY

    def test_the_head_is_sent_before_anything_is_read(
        self, peers: tuple[Client, socket.socket]
    ) -> None:
        client, peer = peers
        peer.send(BODY)
        client.hold_head()
        client.sendall(HEAD)
        assert client.recv(READ_BYTES) == BODY
        assert self.received(peer) == HEAD

    def test_more_than_the_socket_takes_is_sent_whole(
        self, peers: tuple[Client, socket.socket]
    ) -> None:
        client, peer = peers
        much = bytes(range(256)) * 20_000
        peer.settimeout(10)
        sending = threading.Thread(target=client.sendall, args=(much,))
        sending.start()
        got = b""
        while len(got) < len(much):
            got += peer.recv(65536)
        sending.join()
        assert got == much

    def test_no_more_is_read_than_was_asked_for(self, peers: tuple[Client, socket.socket]) -> None:
        client, peer = peers
        peer.send(BODY)
        assert client.recv(1) == BODY[:1]
        assert client.recv(READ_BYTES) == BODY[1:]

    def test_a_read_waits_as_long_as_it_was_told_to(
        self, peers: tuple[Client, socket.socket]
    ) -> None:
        client, _ = peers
        client.settimeout(0.02)
        with pytest.raises(TimeoutError):
            client.recv(READ_BYTES)
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(READ_BYTES)

    def test_a_read_without_a_time_out_waits_for_ever_though_the_socket_lingered(
        self, peers: tuple[Client, socket.socket]
    ) -> None:
        client, peer = peers
        client.setblocking(True)
        assert client.linger() == b""
        later = threading.Timer(0.1, peer.send, (BODY,))
        later.start()
        assert client.recv(READ_BYTES) == BODY
        later.join()

    def test_lingering_brings_what_comes_and_ends_where_nothing_does(
        self, peers: tuple[Client, socket.socket]
    ) -> None:
        client, peer = peers
        assert client.linger() == b""
        peer.send(BODY)
        assert client.linger() == BODY
        peer.close()
        assert client.linger() == b""

    def test_an_end_is_read_as_one(self, peers: tuple[Client, socket.socket]) -> None:
        client, peer = peers
        peer.close()
        assert client.recv(READ_BYTES) == b""

    def test_once_closed_it_leaves_the_descriptor_to_whoever_gets_its_number(
        self, peers: tuple[Client, socket.socket]
    ) -> None:
        client, _ = peers
        number = client.fileno()
        client.hold_head()
        client.sendall(HEAD)
        client.close()
        assert client.fileno() == -1
        with ExitStack() as opened:
            others = [opened.enter_context(part) for part in socket.socketpair()]
            reused = [part for part in others if part.fileno() == number]
            assert reused
            other = others[1 - others.index(reused[0])]
            other.send(MORE)
            other.settimeout(0)
            client.flush()
            with pytest.raises(OSError, match="Bad file descriptor"):
                client.sendall(BODY)
            with pytest.raises(OSError, match="Bad file descriptor"):
                client.recv(READ_BYTES)
            assert self.received(other) == b""
            assert reused[0].recv(READ_BYTES) == MORE


@pytest.mark.parametrize(
    ("connections", "waiting", "lingering", "stays"),
    [
        (1, 0, 0, True),
        (4, 0, 3, True),  # each has a thread of its own
        (5, 0, 2, True),
        (5, 0, 3, False),  # the last of four threads is for whoever comes
        (1, 1, 0, False),  # somebody waits for a thread
    ],
)
def test_a_thread_stays_unless_another_connection_may_need_it(
    connections: int, waiting: int, lingering: int, stays: bool
) -> None:
    asked = may_stay(connections=connections, threads=4, waiting=waiting, lingering=lingering)
    assert asked is stays


class TestOneThread:
    """What one thread of a worker does with one connection, until it lets go of it."""

    @pytest.fixture
    def peer(self) -> Iterator[socket.socket]:
        peer, self.server = socket.socketpair()
        peer.settimeout(10)
        with peer, self.server:
            yield peer

    def handled(self, meanwhile: Callable[[Worker, int], None]) -> Any:
        """What `handle` says of the connection; `meanwhile` is done during the nth answer."""
        worker = Worker(0, os.getppid(), [], None, 30, Config(), Logger(Config()))
        worker.nr_conns = 1
        answers = itertools.count(1)

        def application(environ: Any, start_response: Any) -> list[bytes]:
            meanwhile(worker, next(answers))
            start_response("200 OK", [("Content-Length", "4")])
            return [BODY]

        worker.wsgi = application
        outcome = worker.handle(TConn(worker.cfg, self.server, ("127.0.0.1", 1), ("127.0.0.1", 2)))
        worker.tmp.close()
        return outcome

    def ask_again(self, peer: socket.socket, answer: int) -> None:
        """As if the client had its answer already: the next request, up to three in all."""
        if answer < 3:
            peer.sendall(REQUEST)

    def answers(self, peer: socket.socket) -> int:
        peer.setblocking(False)
        return peer.recv(65536).count(BODY)

    def test_it_answers_what_follows_and_then_lets_go(self, peer: socket.socket) -> None:
        peer.sendall(REQUEST)
        assert self.handled(lambda worker, answer: self.ask_again(peer, answer)) is True
        assert self.answers(peer) == 3

    def test_it_answers_what_was_sent_along(self, peer: socket.socket) -> None:
        peer.sendall(REQUEST * 3)
        assert self.handled(lambda worker, answer: None) is True
        assert self.answers(peer) == 3

    def test_it_lets_go_for_a_connection_that_waits(self, peer: socket.socket) -> None:
        def ask_again_while_another_waits(worker: Worker, answer: int) -> None:
            self.ask_again(peer, answer)
            worker.tpool = mock.Mock()  # whose threads are all busy
            worker.enqueue_req(object())

        peer.sendall(REQUEST)
        assert self.handled(ask_again_while_another_waits) is True
        assert self.answers(peer) == 1

    def test_it_lets_go_where_the_worker_is_told_to_stop(self, peer: socket.socket) -> None:
        def ask_again_and_stop(worker: Worker, answer: int) -> None:
            self.ask_again(peer, answer)
            worker.alive = False

        peer.sendall(REQUEST)
        assert self.handled(ask_again_and_stop) is True
        assert self.answers(peer) == 1

    def test_it_lets_go_where_the_client_is_gone(self, peer: socket.socket) -> None:
        peer.sendall(REQUEST)
        assert self.handled(lambda worker, answer: peer.shutdown(socket.SHUT_WR)) is True
        assert self.answers(peer) == 1


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

    def test_requests_sent_at_once_are_answered_in_turn(self, service: Service) -> None:
        with socket.create_connection(("127.0.0.1", service.gunicorn.port), timeout=10) as client:
            client.sendall(REQUEST * 5)
            got = b""
            while got.count(b"HTTP/1.1 200 OK") < 5:
                got += client.recv(65536)

    def test_a_request_that_comes_in_pieces_is_answered(self, service: Service) -> None:
        with socket.create_connection(("127.0.0.1", service.gunicorn.port), timeout=10) as client:
            for _ in range(2):
                for start in range(0, len(REQUEST), 16):
                    client.sendall(REQUEST[start : start + 16])
                    time.sleep(0.01)  # longer than a thread lingers
                assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")

    def test_connections_that_never_rest_keep_no_other_from_being_answered(
        self, service: Service
    ) -> None:
        address = ("127.0.0.1", service.gunicorn.port)
        done = threading.Event()

        def hurry() -> None:
            with socket.create_connection(address, timeout=10) as client:
                while not done.is_set():
                    client.sendall(REQUEST)
                    assert client.recv(65536)

        hurried = [threading.Thread(target=hurry) for _ in range(8)]  # of four threads
        for thread in hurried:
            thread.start()
        try:
            for _ in range(20):
                with socket.create_connection(address, timeout=5) as client:
                    client.sendall(REQUEST)
                    assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
        finally:
            done.set()
            for thread in hurried:
                thread.join()

    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            (b"secret-of-a-body\r\n\r\n", 400),
            (b"GET /?secret-of-a-body HTTP/9.9\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: x\r\nsecret-of-a-body\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: secret-of-a-body\r\n\r\n", 501),
            (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n", 414),
            (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431),
        ],
    )
    def test_what_is_no_request_is_refused_in_the_envelope_and_repeated_nowhere(
        self, service: Service, sent: bytes, status: int
    ) -> None:
        with socket.create_connection(("127.0.0.1", service.gunicorn.port), timeout=10) as client:
            client.sendall(sent)
            answer = http.client.HTTPResponse(client)
            answer.begin()
            body = json.loads(answer.read())
        assert answer.status == status
        assert body["error"]["code"] == "VALIDATION_ERROR"
        assert answer.getheader("X-Content-Type-Options") == "nosniff"
        assert answer.getheader("Cache-Control") == "no-store"
        assert "secret-of-a-body" not in json.dumps(body)
        log = service.gunicorn.log()
        assert str(answer.getheader("X-Request-ID")) in log
        assert "secret-of-a-body" not in log


class TestRefusals:
    @pytest.mark.parametrize("fault", [ValueError("a secret"), InvalidResponseHeader("a secret")])
    def test_a_fault_of_ours_is_500_and_says_no_more(self, fault: Exception) -> None:
        refusal = Refusal(fault)
        head, _, body = refusal.content().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert json.loads(body)["error"] == {
            "code": "INTERNAL_ERROR",
            "message": "Something went wrong on our side",
            "request_id": refusal.request_id,
        }
