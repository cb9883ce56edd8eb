"""Slow, silent and broken clients of a real worker: each is answered or closed in its time."""

import http.client
import json
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from gunicorn.config import Config

from fluxiq.server.worker import LINGER_SECONDS, MAX_UNREAD, Worker
from fluxiq.tests.hostile_clients import BODY, HEAD, KINDS, LAST, Attack, by_client, bystanders, p95
from fluxiq.tests.load import Load, statuses
from fluxiq.tests.raw_http import REQUEST, connect, until_closed
from fluxiq.tests.served import EMBEDDED, NO_LIMITS, Service, serving
from fluxiq.tests.waiting import wait_until

pytestmark = pytest.mark.engine

REQUEST_SECONDS = 1
KEEP_ALIVE = 2
EARLY = 0.2  # the server's time begins before the client's
LATE = 5.0  # on a busy machine
PROXY = "127.0.0.9"
LARGE_FILE = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
OF_AN_ADDRESS = 40
ENVIRONMENT = {
    **NO_LIMITS,
    "REQUEST_SECONDS": str(REQUEST_SECONDS),
    "CONNECTIONS_PER_ADDRESS": str(OF_AN_ADDRESS),
    "TRUSTED_PROXIES": PROXY,
    "GUNICORN_CMD_ARGS": f"--keep-alive {KEEP_ALIVE}",
}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(EMBEDDED, ENVIRONMENT, workers=1) as running:
        yield running


class TestTime:
    @pytest.mark.parametrize(
        "sent", [b"G", HEAD, HEAD + b"Content-Length: 1000\r\n\r\n" + BODY, REQUEST + HEAD]
    )
    def test_half_a_request_is_408_in_the_envelope_and_closes(
        self, service: Service, sent: bytes
    ) -> None:
        with connect(service) as client:
            client.sendall(sent)
            received, seconds = until_closed(client)
        head, _, body = received[received.rindex(b"HTTP/1.1") :].partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 Request Timeout")
        for line in (b"Connection: close", b"X-Content-Type-Options: nosniff", b"X-Request-ID: "):
            assert line in head
        assert json.loads(body)["error"]["code"] == "REQUEST_TIMEOUT"
        assert REQUEST_SECONDS - EARLY < seconds < LATE

    def test_bytes_that_keep_coming_gain_no_time(self, service: Service) -> None:
        with connect(service) as client:
            began = time.monotonic()
            client.settimeout(0.1)
            received = b""
            for byte in HEAD:
                client.send(bytes([byte]))
                with suppress(TimeoutError):
                    received = client.recv(65536)
                    break
            assert received.startswith(b"HTTP/1.1 408")
            assert time.monotonic() - began < LATE

    def test_a_silent_connection_is_closed_without_an_answer(self, service: Service) -> None:
        with connect(service) as client:
            received, seconds = until_closed(client)
        assert received == b""
        assert REQUEST_SECONDS - EARLY < seconds < LATE

    def test_a_connection_without_another_request_is_closed(self, service: Service) -> None:
        with connect(service) as client:
            client.sendall(REQUEST)
            received, seconds = until_closed(client)
        assert received.startswith(b"HTTP/1.1 200")
        assert KEEP_ALIVE - EARLY < seconds < KEEP_ALIVE + LATE

    def test_a_client_that_never_closes_is_closed(self, service: Service) -> None:
        with connect(service) as client:
            client.sendall(LAST)
            assert until_closed(client)[0].startswith(b"HTTP/1.1 200")
            began = time.monotonic()
            wait_until(lambda: self.refuses(client), "the end")
            assert time.monotonic() - began < LINGER_SECONDS + LATE

    def refuses(self, client: socket.socket) -> bool:
        """Whether the server takes no more of this connection."""
        try:
            client.send(b"x")
        except OSError:
            return True
        return False

    def test_two_hundred_of_all_kinds_hold_up_nobody(self, service: Service) -> None:
        gunicorn = service.gunicorn
        before = gunicorn.workers()
        load = Load(*bystanders(gunicorn.port, service.demo["key"]))
        with Attack(gunicorn.port, 200, tuple(KINDS)), load:
            time.sleep(4)
        assert set(statuses(load.seen)) == {200}
        assert max(by_client(load.seen, p95).values()) <= 0.5
        assert gunicorn.workers() == before


class TestPlaces:
    def test_an_address_has_so_many_connections_and_the_others_are_served(
        self, service: Service
    ) -> None:
        held = [connect(service, "127.0.0.8") for _ in range(OF_AN_ADDRESS)]
        with connect(service, "127.0.0.8") as one_too_many:
            one_too_many.send(REQUEST)
            assert until_closed(one_too_many)[0] == b""
        assert service.call("GET", "/healthz").status == 200
        for client in held:
            client.close()
        wait_until(lambda: self.is_served(service, "127.0.0.8"), "a place")

    def test_a_trusted_proxy_has_as_many_as_it_likes(self, service: Service) -> None:
        held = [connect(service, PROXY) for _ in range(OF_AN_ADDRESS)]
        assert self.is_served(service, PROXY)
        for client in held:
            client.close()

    def is_served(self, service: Service, source: str) -> bool:
        with connect(service, source) as client:
            client.sendall(LAST)
            return until_closed(client)[0].startswith(b"HTTP/1.1 200")

    @pytest.mark.parametrize("is_short_of_files", [False, True])
    def test_a_full_worker_makes_room_for_whoever_comes(self, is_short_of_files: bool) -> None:
        few = "" if is_short_of_files else "--worker-connections 8"
        crowded = {**ENVIRONMENT, "REQUEST_SECONDS": "60", "GUNICORN_CMD_ARGS": few}
        with serving(EMBEDDED, crowded, workers=1) as service:
            if is_short_of_files:
                (worker,) = service.gunicorn.workers()
                files = len(list(Path(f"/proc/{worker}/fd").iterdir())) + 8
                resource.prlimit(worker, resource.RLIMIT_NOFILE, (files, files))
            held = [connect(service) for _ in range(12)]
            assert service.call("GET", "/healthz").status == 200
            assert "full" in service.gunicorn.log()
            for client in held:
                client.close()

    def test_answers_that_nobody_reads_take_so_much_memory_and_the_oldest_go(
        self, service: Service
    ) -> None:
        size = int(service.call("HEAD", LARGE_FILE).headers["content-length"])
        ask = f"GET {LARGE_FILE} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        with ExitStack() as stack:
            clients = []
            for _ in range(MAX_UNREAD // size + 5):
                clients.append(stack.enter_context(connect(service, PROXY, takes=4096)))
                clients[-1].sendall(ask)
                clients[-1].recv(1)
            received = [len(until_closed(client)[0]) for client in (clients[0], clients[-1])]
        assert received[0] < size < received[1]


class TestWhatIsSent:
    def test_a_body_of_twenty_megabytes_is_413_at_once(self, service: Service) -> None:
        for path, code in (
            ("/admin/login/", "PAYLOAD_TOO_LARGE"),
            ("/nowhere", "PAYLOAD_TOO_LARGE"),
        ):
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n"
            with connect(service) as client:
                client.sendall(
                    f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode()
                )
                answer = http.client.HTTPResponse(client)
                answer.begin()
                assert answer.status == 413
                assert json.loads(answer.read())["error"]["code"] == code
                client.sendall(b"x" * 20_000_000)  # and no reset hides the answer

    def test_a_client_that_waits_to_send_its_body_is_told_to(self, service: Service) -> None:
        with connect(service) as client:
            body = b'{"document": "12345678901"}'
            asks = b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            client.sendall(HEAD + asks % len(body))
            assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(body)
            assert until_closed(client)[0].startswith(b"HTTP/1.1 400 Bad Request")

    @pytest.mark.parametrize("is_reset", [True, False])
    def test_a_client_that_breaks_off_in_its_body_leaves_one_line(
        self, service: Service, is_reset: bool
    ) -> None:
        before = service.gunicorn.log().splitlines()
        with connect(service) as client:
            client.sendall(HEAD + b"Content-Length: 1000\r\n\r\n" + BODY)
            if is_reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        wait_until(lambda: len(service.gunicorn.log().splitlines()) > len(before), "a line")
        assert service.call("GET", "/healthz").status == 200
        (line,) = [line for line in service.gunicorn.log().splitlines()[len(before) :] if line]
        assert "INFO" in line
        assert "broke off" in line


@pytest.mark.parametrize(("name", "value"), [("certfile", "/nowhere"), ("proxy_protocol", "v2")])
def test_what_it_does_not_speak_is_refused_at_the_start(name: str, value: str) -> None:
    configuration = Config()
    configuration.set(name, value)
    with pytest.raises(ValueError, match="neither TLS nor the PROXY protocol"):
        Worker.check_config(configuration, None)
