"""Requests are read whole, however they are cut, and what is ambiguous is refused."""

import itertools
from collections.abc import Iterable

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.parser import RequestParser
from hypothesis import given
from hypothesis import strategies as st

from fluxiq.server.reading import MAX_BODY, MAX_HEAD, Reader
from fluxiq.tests.smuggling import AMBIGUOUS, CHUNKED, GET, POST, SIZED, TRAILED, WHOLE

CONFIG = Config()
PEER = ("192.0.2.1", 50_000)
Found = tuple[str, str, bytes]


def read(pieces: Iterable[bytes]) -> tuple[list[Found], bool]:
    """The method, path and body of each request, and whether the end was a refusal."""
    reader = Reader(CONFIG, PEER)
    found: list[Found] = []
    try:
        for piece in pieces:
            reader.feed(piece)
            while (request := reader.next()) is not None:
                found.append((request.method, request.path, request.body.read()))
                if request.should_close():
                    return found, False
    except ParseException:
        return found, True
    return found, False


def read_by_gunicorn(data: bytes) -> tuple[list[Found], bool]:
    """The same of gunicorn's own reading, where all of it is there."""
    found: list[Found] = []
    try:
        for request in RequestParser(CONFIG, iter([data]), PEER):
            found.append((request.method, request.path, request.body.read()))
    except ParseException:
        return found, True
    except (NoMoreData, StopIteration):
        return found, False
    return found, False


@st.composite
def cut(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> list[bytes]:
    """Some bytes, cut anywhere."""
    data = draw(whole)
    at = sorted(draw(st.sets(st.integers(0, len(data)), max_size=8)))
    return [data[start:end] for start, end in itertools.pairwise([0, *at, len(data)])]


valid = st.lists(st.sampled_from([GET, SIZED, WHOLE, TRAILED]), max_size=20).map(b"".join)
anything = st.lists(
    st.sampled_from([GET, SIZED, WHOLE, TRAILED, *AMBIGUOUS]) | st.binary(max_size=30), max_size=4
).map(b"".join)


class TestWhole:
    @given(pieces=cut(valid))
    def test_pipelined_requests_are_read_alike_however_they_are_cut(
        self, pieces: list[bytes]
    ) -> None:
        data = b"".join(pieces)
        assert read(pieces) == read_by_gunicorn(data)
        assert len(read(pieces)[0]) == data.count(b" HTTP/1.1\r\n")

    @given(pieces=cut(anything))
    def test_what_is_read_is_what_gunicorn_reads(self, pieces: list[bytes]) -> None:
        ours, theirs = read(pieces), read_by_gunicorn(b"".join(pieces))
        # Theirs may refuse, or take for the end, what ours still waits for.
        assert ours[0] == theirs[0][: len(ours[0])]
        assert ours[1] <= theirs[1] or len(ours[0]) == len(theirs[0])

    @pytest.mark.parametrize("request_", [GET, SIZED, WHOLE, TRAILED])
    def test_a_request_is_there_with_its_last_byte_and_not_before(self, request_: bytes) -> None:
        reader = Reader(CONFIG, PEER)
        for number in range(len(request_) - 1):
            reader.feed(request_[number : number + 1])
            assert reader.next() is None
            assert not reader.is_empty
        reader.feed(request_[-1:])
        assert reader.next() is not None
        assert reader.is_empty

    def test_a_chunked_body_comes_with_its_length(self) -> None:
        reader = Reader(CONFIG, PEER)
        reader.feed(WHOLE)
        request = reader.next()
        assert ("CONTENT-LENGTH", "16") in request.headers
        assert "TRANSFER-ENCODING" not in dict(request.headers)
        assert request.body.read() == b"hello, you there"


class TestRefused:
    @pytest.mark.parametrize("data", AMBIGUOUS)
    def test_an_ambiguous_request_is_refused_and_nothing_after_it_is_read(
        self, data: bytes
    ) -> None:
        for pieces in ([data + GET], [bytes([byte]) for byte in data + GET]):
            found, is_refused = read(pieces)
            assert is_refused
            assert not any(path == "/healthz" for _, path, _ in found)

    @pytest.mark.parametrize("endless", [b"x" * 100, b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * 100])
    def test_a_head_without_an_end_is_refused_once_it_is_too_long(self, endless: bytes) -> None:
        reader = Reader(CONFIG, PEER)
        reader.feed(endless)
        assert reader.next() is None
        reader.feed(b"x" * MAX_HEAD)
        with pytest.raises(ParseException):
            reader.next()

    @pytest.mark.parametrize("endless", [b"5;" + b"x" * 2000, b"0\r\nX: " + b"x" * MAX_HEAD])
    def test_so_are_a_chunk_line_and_a_trailer(self, endless: bytes) -> None:
        assert read([CHUNKED, endless]) == ([], True)


class TestTooLarge:
    @pytest.mark.parametrize(
        ("head", "body"),
        [
            (POST + f"Content-Length: {MAX_BODY + 1}\r\n\r\n".encode(), b""),
            (POST + b"Content-Length: 1" + b"0" * 4000 + b"\r\n\r\n", b""),
            (CHUNKED, b"%x\r\n" % (MAX_BODY + 1)),
            (CHUNKED, b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n2\r\n"),
        ],
    )
    def test_it_is_told_at_once_and_ends_the_connection(self, head: bytes, body: bytes) -> None:
        reader = Reader(CONFIG, PEER)
        reader.feed(head + body + GET)
        request = reader.next()
        assert request.should_close()
        assert request.body.read() == b""
        assert len(dict(request.headers)["CONTENT-LENGTH"]) >= len(str(MAX_BODY))
        assert reader.is_empty

    def test_the_largest_is_read(self) -> None:
        sized = POST + f"Content-Length: {MAX_BODY}\r\n\r\n".encode() + b"x" * MAX_BODY
        chunked = CHUNKED + b"10000\r\n" + b"x" * MAX_BODY + b"\r\n0\r\n\r\n"
        for data in (sized, chunked):
            found, _ = read([data])
            assert [len(body) for _, _, body in found] == [MAX_BODY]


def test_a_client_that_asks_whether_to_send_its_body_is_told_once() -> None:
    reader = Reader(CONFIG, PEER)
    reader.feed(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert not reader.takes_continue()  # nothing is judged before `next`
    assert reader.next() is None
    assert reader.takes_continue()
    assert not reader.takes_continue()
    reader.feed(b"hello")
    assert reader.next().body.read() == b"hello"
