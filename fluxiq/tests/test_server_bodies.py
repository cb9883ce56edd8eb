"""Bodies under any WSGI server: read whole, bounded, and before the application is asked."""

import io
import json
from collections.abc import Iterable
from typing import Any

import pytest

from fluxiq.server.bodies import WholeBodies
from fluxiq.server.reading import MAX_BODY

API = "/api/v1/accounts"


class Recorder:
    """A WSGI application that keeps what it is given."""

    def __init__(self) -> None:
        self.was_asked = False
        self.length: str | None = None
        self.body = b""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.was_asked = True
        self.length = environ.get("CONTENT_LENGTH")
        self.body = environ["wsgi.input"].read()
        return [b"answer"]


class Source(io.BytesIO):
    """A client that may send for ever, or break off. Keeps how much was asked of it."""

    def __init__(self, body: bytes, fault: OSError | None = None) -> None:
        super().__init__(body)
        self._fault = fault
        self.asked = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size >= 0, "all of an endless body was asked for"
        self.asked += size
        if self._fault is not None:
            raise self._fault
        return super().read(size)


def call(source: Source, path: str = API, **environ: Any) -> tuple[Recorder, list[Any], bytes]:
    """What the application saw, and what was answered in its place."""
    recorder, started = Recorder(), list[Any]()
    asked = {"wsgi.input": source, "PATH_INFO": path, **environ}
    answer = WholeBodies(recorder)(asked, lambda *arguments: started.extend(arguments))
    return recorder, started, b"".join(answer)


@pytest.mark.parametrize("coding", ["chunked", "Chunked", "gzip, chunked", "CHUNKED"])
def test_a_chunked_body_is_given_its_length(coding: str) -> None:
    seen, _, _ = call(Source(b'{"a": 1}'), HTTP_TRANSFER_ENCODING=coding)
    assert (seen.length, seen.body) == ("8", b'{"a": 1}')


def test_an_empty_chunked_body_has_no_length() -> None:
    assert call(Source(b""), HTTP_TRANSFER_ENCODING="chunked")[0].length == "0"


def test_the_length_that_a_client_states_beside_chunks_is_ignored() -> None:
    seen, _, _ = call(Source(b"12345678"), HTTP_TRANSFER_ENCODING="chunked", CONTENT_LENGTH="3")
    assert (seen.length, seen.body) == ("8", b"12345678")


def test_a_body_of_known_length_is_read_before_the_application_is_asked() -> None:
    source = Source(b"12345678")
    recorder, _, _ = call(source, CONTENT_LENGTH="8")
    assert (recorder.length, recorder.body, source.asked) == ("8", b"12345678", 8)


def test_a_request_without_a_body_is_left_as_it_is() -> None:
    for stated in ({}, {"CONTENT_LENGTH": ""}):
        source = Source(b"next request")
        with pytest.raises(AssertionError, match="endless"):
            call(source, **stated)
        assert source.asked == 0


@pytest.mark.parametrize("length", [MAX_BODY + 1, 20_000_000, "9" * 5000])
def test_a_body_that_states_too_large_a_length_is_not_read(length: object) -> None:
    source = Source(b"x" * 100)
    seen, _, _ = call(source, CONTENT_LENGTH=str(length))
    assert source.asked == 0
    assert seen.body == b""
    assert int((seen.length or "")[:4000]) > MAX_BODY


def test_an_endless_body_is_read_only_until_it_is_too_large() -> None:
    source = Source(b"x" * (MAX_BODY * 4))
    seen, _, _ = call(source, HTTP_TRANSFER_ENCODING="chunked")
    assert source.asked == MAX_BODY + 1 == 65_537
    assert (seen.length, seen.body) == ("65537", b"")


@pytest.mark.parametrize(
    "framing", [{"CONTENT_LENGTH": "20000000"}, {"HTTP_TRANSFER_ENCODING": "chunked"}]
)
def test_elsewhere_than_under_the_api_too_large_a_body_is_413(framing: dict[str, str]) -> None:
    recorder, started, answer = call(Source(b"x" * 70_000), "/admin/login/", **framing)
    status, headers = started
    assert not recorder.was_asked
    assert status == "413 Request Entity Too Large"
    assert dict(headers)["X-Content-Type-Options"] == "nosniff"
    assert dict(headers)["X-Request-ID"]
    assert json.loads(answer)["error"]["code"] == "PAYLOAD_TOO_LARGE"


@pytest.mark.parametrize("source", [Source(b"1234"), Source(b"", ConnectionResetError())])
def test_a_client_that_breaks_off_is_no_request(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    recorder, started, _ = call(source, CONTENT_LENGTH="8")
    assert not recorder.was_asked
    assert started[0] == "400 Bad Request"
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "BrokenOff" in record.getMessage()
