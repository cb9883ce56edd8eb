"""Whole requests out of the bytes that a client sends, in whatever pieces they come.

gunicorn's own parser judges each head and each line of a chunked body; what is decided here is
when it has enough to judge. No socket and no clock.
"""

from io import BytesIO
from typing import Any

from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import (
    ChunkMissingTerminator,
    InvalidChunkSize,
    InvalidHeader,
    LimitRequestHeaders,
    LimitRequestLine,
)
from gunicorn.http.message import Request
from gunicorn.http.unreader import Unreader

MAX_HEAD = 32 * 1024
MAX_BODY = 64 * 1024
_MAX_CHUNK_LINE = 1024


class _Here(Unreader):  # type: ignore[misc]
    """A source, as gunicorn's parser reads one, of the bytes that are here and no more."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.buf.write(data)

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Nothing follows."""
        return b""


class _TooMuch(Exception):
    """A body is larger than any is read; holds its length, or what is known of it."""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length


class _Sized:
    """A body whose length the head states."""

    def __init__(self, length: int) -> None:
        self._length = length

    def take(self, buffer: bytearray) -> bytes | None:
        """Take it out of the buffer once all of it is there. Raises _TooMuch."""
        if self._length > MAX_BODY:
            raise _TooMuch(self._length)
        if len(buffer) < self._length:
            return None
        body = bytes(buffer[: self._length])
        del buffer[: self._length]
        return body


class _Chunked:
    """A body in chunks, each of which is taken once all of it is there."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._body = bytearray()

    def take(self, buffer: bytearray) -> bytes | None:
        """Take what there is out of the buffer; the body, once it has its end. Raises _TooMuch, and
        ParseException for what is no chunk."""
        while (end := buffer.find(b"\r\n")) >= 0:
            line, start = bytes(buffer[: end + 2]), end + 2
            if not line.partition(b";")[0].strip(b"0 \t\r\n"):
                return self._take_end(buffer, line, start)
            size, _ = ChunkedReader(self._request, None).parse_chunk_size(None, data=line)
            if len(self._body) + size > MAX_BODY:
                raise _TooMuch(MAX_BODY + 1)
            if len(buffer) < start + size + 2:
                return None
            if buffer[start + size : start + size + 2] != b"\r\n":
                raise ChunkMissingTerminator(b"")
            self._body += buffer[start : start + size]
            del buffer[: start + size + 2]
        if len(buffer) > _MAX_CHUNK_LINE:
            raise InvalidChunkSize(b"")
        return None

    def _take_end(self, buffer: bytearray, line: bytes, start: int) -> bytes | None:
        """Take the last chunk, whose line this is, and the trailer, which starts there."""
        if buffer[start : start + 2] == b"\r\n":
            end = start + 2
        elif (end := buffer.find(b"\r\n\r\n", start) + 4) < 4 or end > start + MAX_HEAD:  # noqa: PLR2004 - not found
            _judge_unfinished(buffer[start:])
            return None
        trailer = _Here(bytes(buffer[start:end]))
        ChunkedReader(self._request, trailer).parse_chunk_size(trailer, data=line)
        del buffer[:end]
        return bytes(self._body)


def _judge_unfinished(lines: bytearray) -> None:
    """Refuse the beginning of what can become no head, or trailer. Raises ParseException."""
    if lines.count(b"\n") != lines.count(b"\r\n"):
        raise InvalidHeader("bare LF as line terminator")
    if len(lines) > MAX_HEAD:
        if b"\r\n" not in lines:
            raise LimitRequestLine(len(lines), MAX_HEAD)
        raise LimitRequestHeaders("head")


class Reader:
    """The requests of one connection, in order.

    A request that `next` returns holds its whole body as `body`, a file, and states its length.
    One whose body is larger than MAX_BODY comes at once, with a length over MAX_BODY and an empty
    body, and is the last of its connection.
    """

    def __init__(self, configuration: Any, peer: Any) -> None:
        self._configuration, self._peer = configuration, peer
        self._buffer = bytearray()
        self._searched = 0  # bytes of the buffer that hold no end of a head
        self._requests = 0
        self._request: Any = None  # its head is read, its body is not
        self._body: _Sized | _Chunked

    @property
    def is_empty(self) -> bool:
        """Whether no part of another request is here."""
        return self._request is None and not self._buffer

    def feed(self, data: bytes) -> None:
        """Take more of what the client sent."""
        self._buffer += data

    def takes_continue(self) -> bool:
        """Whether the client waits to be told to send the body. True once for each request."""
        request = self._request
        if request is None or not request._expected_100_continue:
            return False
        request._expected_100_continue = False
        return True

    def next(self) -> Any:
        """gunicorn's Request, or None until all of it is here. Raises ParseException, after which
        nobody can say where another request begins."""
        if self._request is None and not self._read_head():
            return None
        request = self._request
        try:
            body = self._body.take(self._buffer)
        except _TooMuch as found:
            request.force_close()
            self._buffer.clear()
            body, length = b"", found.length
        else:
            if body is None:
                return None
            length = len(body)
        if isinstance(self._body, _Chunked):  # WSGI knows a body by its length and no other way
            headers = [header for header in request.headers if header[0] != "TRANSFER-ENCODING"]
            request.headers = [*headers, ("CONTENT-LENGTH", str(length))]
        request.body = BytesIO(body)
        request._expected_100_continue = False  # or gunicorn would answer it now
        self._request = None
        return request

    def _read_head(self) -> bool:
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3)) + 4
        if end < 4 or end > MAX_HEAD:  # noqa: PLR2004 - not found
            _judge_unfinished(buffer)
            self._searched = len(buffer)
            return False
        head = bytes(buffer[:end])
        del buffer[:end]
        self._searched = 0
        self._requests += 1
        request = Request(self._configuration, _Here(head), self._peer, self._requests)
        reader = request.body.reader
        is_chunked = isinstance(reader, ChunkedReader)
        self._body = _Chunked(request) if is_chunked else _Sized(reader.length)
        self._request = request
        return True
