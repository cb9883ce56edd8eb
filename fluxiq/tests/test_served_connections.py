"""Connections to a real worker: answered whole and in turn, and what is no request is refused."""

import http.client
import json
import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from gunicorn.http.errors import InvalidResponseHeader

from fluxiq.malformed import Refusal
from fluxiq.tests.raw_http import REQUEST, answers, connect, until_closed
from fluxiq.tests.served import EMBEDDED, NO_LIMITS, Service, serving
from fluxiq.tests.smuggling import AMBIGUOUS

PROXY = "127.0.0.9"  # whose request ids are believed


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(EMBEDDED, {**NO_LIMITS, "TRUSTED_PROXIES": PROXY}, workers=1) as running:
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


@pytest.mark.engine
class TestNoMixing:
    @pytest.mark.parametrize("data", AMBIGUOUS)
    def test_an_ambiguous_request_is_refused_and_what_follows_it_is_not_answered(
        self, service: Service, data: bytes
    ) -> None:
        with connect(service, PROXY) as client:
            client.sendall(data + REQUEST)
            received = answers(until_closed(client)[0])
        found = [status for status, _, _ in received]
        # gunicorn drops Content_Length and its like: their request has no body, and is answered.
        assert found in ([400], [501]) or (b"_" in data and found == [401, 400])
        assert received[-1][1]["connection"] == "close"

    def test_twenty_sent_at_once_with_credentials_of_their_own(self, service: Service) -> None:
        tokens = [service.sign_in(number)["access_token"] for number in (0, 1)]
        people = [
            service.call("GET", "/api/v1/auth/me", token).json["data"]["id"] for token in tokens
        ]
        assert people[0] != people[1]
        headers = [*(f"Authorization: Bearer {token}\r\n" for token in tokens), ""]
        start = "GET /api/v1/auth/me HTTP/1.1\r\nHost: localhost\r\n"
        requests = [f"{start}{headers[number % 3]}\r\n" for number in range(20)]
        requests[-1] = requests[-1].replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
        with connect(service) as client:
            client.sendall("".join(requests).encode())
            received = answers(until_closed(client)[0])
        assert len(received) == 20
        for number, (status, _, body) in enumerate(received):
            expected = people[number % 3] if number % 3 < 2 else None
            assert status == (200 if expected else 401)
            assert json.loads(body).get("data", {}).get("id") == expected

    def test_thirty_clients_that_abort_at_random_get_no_answer_of_another(
        self, service: Service
    ) -> None:
        faults: list[str] = []
        threads = [
            threading.Thread(target=self.abort, args=(service, n, faults)) for n in range(30)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not faults

    def abort(self, service: Service, number: int, faults: list[str]) -> None:
        """Ask, with an id of its own each time, in pieces, and break off at some of them."""
        choose = random.Random(number)  # noqa: S311 - no secret
        for turn in range(8):
            ids = [f"client-{number}-{turn}-{part}" for part in range(choose.randint(1, 5))]
            bodies = [json.dumps({"token": name}) for name in ids]
            data = "".join(
                "POST /api/v1/auth/introspect HTTP/1.1\r\nHost: localhost\r\n"
                f"X-Request-ID: {name}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                for name, body in zip(ids, bodies, strict=True)
            ).encode()
            cut = choose.choice([len(data), choose.randrange(len(data))])
            with connect(service, PROXY) as client:
                middle = choose.randrange(cut + 1)
                client.sendall(data[:middle])
                client.sendall(data[middle:cut])
                if choose.random() < 0.3:
                    continue
                client.shutdown(socket.SHUT_WR)
                received = answers(until_closed(client)[0])
            seen = [headers["x-request-id"] for _, headers, _ in received]
            if seen != ids[: len(seen)] or (cut == len(data) and seen != ids):
                faults.append(f"{ids}: {received}")


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
