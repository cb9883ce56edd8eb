"""A worker's connection: a small answer is one write, and nothing sent or read is lost."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from fluxiq.tests.raw_http import BODY, HEAD, MORE
from fluxiq.workers import READ_BYTES, Client


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
