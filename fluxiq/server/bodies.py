"""The body first: read whole and bounded before Django sees the request, under any WSGI server."""

import logging
import re
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from fluxiq.malformed import BrokenOff, Refusal, TooLarge
from fluxiq.server.reading import MAX_BODY

logger = logging.getLogger("fluxiq.requests")

# Under it, a body that is too large is counted and answered as any other request.
API_PREFIX = "/api/"

_CHARSET = re.compile(r";\s*charset\s*=[^;]*", re.IGNORECASE)

StartResponse = Callable[..., Any]
WSGIApplication = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class WholeBodies:
    """Reads each body, at most MAX_BODY bytes of it, before the application is asked.

    So a credential is judged when all of the request is here. A chunked body is given its length:
    without one, Django reads none at all. A body that is too large is not kept: under the API its
    length tells Django to refuse it, elsewhere it is refused here.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        stated = environ.get("CONTENT_LENGTH") or "0"
        is_chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
        if stated == "0" and not is_chunked:
            return self._application(environ, start_response)
        try:
            body, length = _read(environ["wsgi.input"], stated, is_chunked=is_chunked)
            if length > MAX_BODY and not environ.get("PATH_INFO", "").startswith(API_PREFIX):
                raise TooLarge
        except (TooLarge, BrokenOff) as fault:
            return _refuse(fault, start_response)
        environ["wsgi.input"] = BytesIO(body)
        environ["CONTENT_LENGTH"] = str(length)
        return self._application(environ, start_response)


class Utf8Alone:
    """Drops the charset that a Content-Type names: Django would read the query in it, and so let
    a client hide a parameter, or fail on a codec that is none for text."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if "CONTENT_TYPE" in environ:
            environ["CONTENT_TYPE"] = _CHARSET.sub("", environ["CONTENT_TYPE"])
        return self._application(environ, start_response)


def _read(source: Any, stated: str, *, is_chunked: bool) -> tuple[bytes, int]:
    """A body, and its length, or at least MAX_BODY + 1 and nothing of the body.

    Raises BrokenOff where the client ends it early.
    """
    # As Django reads it; Python reads no number of over 4300 digits.
    length = int(stated[:4000]) if stated.isascii() and stated.isdigit() else 0
    if is_chunked:
        length = MAX_BODY + 1
    elif length > MAX_BODY:
        return b"", length
    try:
        body: bytes = source.read(length)
    except OSError as error:
        raise BrokenOff from error
    if is_chunked:
        return (body, len(body)) if len(body) < length else (b"", length)
    if len(body) < length:
        raise BrokenOff
    return body, length


def _refuse(fault: Exception, start_response: StartResponse) -> Iterable[bytes]:
    refusal = Refusal(fault)
    logger.warning("%s: %d: %s", refusal.request_id, refusal.status, type(fault).__name__)
    phrase = f"{refusal.status} {refusal.status.phrase}"
    start_response(phrase, list(refusal.headers().items()))
    return [refusal.body()]
