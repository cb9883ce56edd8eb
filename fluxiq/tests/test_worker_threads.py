"""A busy connection keeps its thread, unless another may need it."""

import itertools
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import TConn

from fluxiq.tests.raw_http import BODY, REQUEST
from fluxiq.workers import Worker, may_stay


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
