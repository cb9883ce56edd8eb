"""What a worker's threads do: whole answers, in turn, to connections that they let go of."""

import json
import os
import queue
import select
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from fluxiq.server.answering import AnsweringWorker, may_stay
from fluxiq.server.connections import Answers, Connection
from fluxiq.tests.raw_http import BODY, HEAD, MORE, REQUEST, answers


@pytest.mark.parametrize(
    ("connections", "queued", "lingering", "stays"),
    [
        (1, 0, 0, True),
        (4, 0, 3, True),  # each has a thread of its own
        (5, 0, 2, True),
        (5, 0, 3, False),  # the last of four threads is for whoever comes
        (1, 1, 0, False),  # somebody waits for a thread
    ],
)
def test_a_thread_stays_unless_another_connection_may_need_it(
    connections: int, queued: int, lingering: int, stays: bool
) -> None:
    asked = may_stay(connections=connections, threads=4, queued=queued, lingering=lingering)
    assert asked is stays


class TestAnswers:
    @pytest.fixture
    def pair(self) -> Iterator[tuple[socket.socket, Answers]]:
        peer, server = socket.socketpair()
        peer.settimeout(10)
        with peer, server:
            yield peer, Answers(server)

    def test_what_is_written_is_sent_at_once_by_a_flush(
        self, pair: tuple[socket.socket, Answers]
    ) -> None:
        peer, held = pair
        for piece in (HEAD, BODY, MORE):
            held.sendall(piece)
        assert held.size == len(HEAD + BODY + MORE)
        held.flush()
        assert held.size == 0
        assert peer.recv(1000) == HEAD + BODY + MORE

    def test_what_a_socket_does_not_take_is_kept_and_sent_later(
        self, pair: tuple[socket.socket, Answers]
    ) -> None:
        peer, held = pair
        pieces = [bytes([number % 256]) * 7919 for number in range(400)]
        for piece in pieces:
            held.sendall(piece)
        held.flush()
        assert held.size > 0
        received = b""
        while len(received) < len(b"".join(pieces)):
            received += peer.recv(100_000)
            held.flush()
        assert received == b"".join(pieces)
        assert (held.size, held.is_broken) == (0, False)

    def test_a_client_that_is_gone_gets_nothing_more(
        self, pair: tuple[socket.socket, Answers]
    ) -> None:
        peer, held = pair
        peer.close()
        held.sendall(HEAD)
        held.flush()
        assert (held.size, held.is_broken) == (0, True)


class OneThread(AnsweringWorker):
    """A worker of one thread, which keeps what it gives back."""

    def __init__(self, application: Any, **settings: Any) -> None:
        configuration = Config()
        for name, value in {"threads": 1, **settings}.items():
            configuration.set(name, value)
        super().__init__(0, os.getppid(), [], None, 30, configuration, Logger(configuration))
        self.wsgi = application
        self.tpool = self.get_thread_pool()
        self.method_queue.init()
        self.returned: queue.Queue[Connection] = queue.Queue()
        self._ends: list[socket.socket] = []

    def take_back(self, connection: Connection) -> None:
        self.returned.put(connection)

    def connect(self, sent: bytes) -> tuple[socket.socket, Connection]:
        """The client's end of a connection, and the server's, at which this has come."""
        client, server = socket.socketpair()
        client.settimeout(10)
        connection = Connection(server, ("192.0.2.1", 1), ("192.0.2.2", 2), self.cfg, "")
        connection.reader.feed(sent)
        self._ends += [client, server]
        self.nr_conns += 1
        return client, connection

    def answer(self, connection: Connection) -> Connection:
        """Have it answered, and wait until the thread gives it back."""
        self.have_answered(connection, connection.reader.next())
        return self.next_returned()

    def next_returned(self) -> Connection:
        """The connection that the thread gives back next."""
        while self.returned.empty():
            assert select.select([self.method_queue.fileno()], [], [], 10)[0]
            self.method_queue.run_callbacks(None)
        return self.returned.get()

    def end(self) -> None:
        """Give back what it took."""
        self.tpool.shutdown()
        self.method_queue.close()
        self.tmp.close()
        for end in self._ends:
            end.close()


class Said:
    """An application that answers the same each time, and does something meanwhile."""

    def __init__(self, meanwhile: Callable[[int], None] = lambda number: None) -> None:
        self.paths: list[str] = []
        self._meanwhile = meanwhile

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.paths.append(environ["PATH_INFO"])
        self._meanwhile(len(self.paths))
        start_response("200 OK", [("Content-Length", "4")])
        return [BODY]


@pytest.fixture
def start() -> Iterator[Callable[..., OneThread]]:
    started: list[OneThread] = []

    def make(application: Any, **settings: Any) -> OneThread:
        started.append(OneThread(application, **settings))
        return started[-1]

    yield make
    for worker in started:
        worker.end()


Start = Callable[..., OneThread]


class TestThread:
    def test_it_answers_what_was_sent_along_and_then_lets_go(self, start: Start) -> None:
        worker = start(Said())
        client, connection = worker.connect(REQUEST * 3)
        assert not worker.answer(connection).is_last
        assert [body for _, _, body in answers(client.recv(65536))] == [BODY] * 3
        assert connection.reader.is_empty

    def test_it_answers_what_comes_within_a_moment(self, start: Start) -> None:
        ends: list[socket.socket] = []
        worker = start(Said(lambda number: number < 3 and ends[0].sendall(REQUEST)))  # type: ignore[func-returns-value,arg-type]
        client, connection = worker.connect(REQUEST)
        ends.append(client)
        assert not worker.answer(connection).is_last
        assert len(answers(client.recv(65536))) == 3

    def test_a_connection_that_waits_goes_before_the_next_request_of_another(
        self, start: Start
    ) -> None:
        begun, both = threading.Event(), threading.Event()

        def wait(number: int) -> None:
            begun.set()
            assert both.wait(10)

        said = Said(wait)
        worker = start(said)
        _, first = worker.connect(REQUEST.replace(b"/healthz", b"/first") * 2)
        _, second = worker.connect(REQUEST.replace(b"/healthz", b"/second"))
        worker.have_answered(first, first.reader.next())
        assert begun.wait(10)
        worker.have_answered(second, second.reader.next())
        both.set()
        assert {worker.next_returned(), worker.next_returned()} == {first, second}
        assert said.paths == ["/first", "/second"]
        assert not first.reader.is_empty

    def test_a_worker_that_stops_answers_with_close(self, start: Start) -> None:
        worker = start(Said())
        worker.alive = False
        client, connection = worker.connect(REQUEST * 2)
        assert worker.answer(connection).is_last
        ((_, headers, _),) = answers(client.recv(65536))
        assert headers["connection"] == "close"

    def test_a_worker_stops_after_so_many_requests(self, start: Start) -> None:
        worker = start(Said(), max_requests=2)
        client, connection = worker.connect(REQUEST * 3)
        assert worker.answer(connection).is_last
        assert len(answers(client.recv(65536))) == 2
        assert not worker.alive

    def test_a_client_need_not_wait_for_what_is_closed_after_its_answer(self, start: Start) -> None:
        received: list[bytes] = []

        class Content(list[bytes]):
            def close(self) -> None:
                received.append(client.recv(65536))

        def application(environ: Any, start_response: Any) -> Content:
            start_response("200 OK", [("Content-Length", "4")])
            return Content([BODY])

        worker = start(application)
        client, connection = worker.connect(REQUEST)
        assert not worker.answer(connection).is_last
        assert received[0].endswith(BODY)

    def test_a_malformed_request_that_follows_is_refused_and_closes(self, start: Start) -> None:
        worker = start(Said())
        client, connection = worker.connect(REQUEST + b"secret\r\n\r\n")
        assert worker.answer(connection).is_last
        first, second = answers(client.recv(65536))
        assert (first[0], second[0]) == (200, 400)
        assert b"secret" not in second[2]

    @pytest.mark.parametrize("headers", [[], [("X", "a\r\nb")]])
    def test_a_fault_outside_the_application_is_500_and_closes(
        self, start: Start, headers: list[tuple[str, str]]
    ) -> None:
        def application(environ: Any, start_response: Any) -> Iterator[bytes]:
            start_response("200 OK", [("Content-Length", "4"), *headers])
            yield BODY[:1]
            raise ValueError("secret")

        worker = start(application)
        client, connection = worker.connect(REQUEST)
        assert worker.answer(connection).is_last
        ((status, _, body),) = answers(client.recv(65536))
        assert status == 500
        assert json.loads(body)["error"]["code"] == "INTERNAL_ERROR"
        assert b"secret" not in body

    def test_a_fault_in_reading_what_follows_is_500_and_closes(self, start: Start) -> None:
        worker = start(Said())
        client, connection = worker.connect(REQUEST)
        request = connection.reader.next()
        connection.reader = mock.Mock(next=mock.Mock(side_effect=RuntimeError("secret")))
        worker.have_answered(connection, request)
        assert worker.next_returned().is_last
        assert [status for status, _, _ in answers(client.recv(65536))] == [200, 500]
