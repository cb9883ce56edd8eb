"""The WSGI application: what it answers to any server's environment."""

import io
import json
from typing import Any
from unittest import mock
from wsgiref.util import setup_testing_defaults

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.test import TestCase

from fluxiq.server.bodies import WSGIApplication
from fluxiq.wsgi import Handler, application


class ApplicationTestCase(TestCase):
    application: WSGIApplication = staticmethod(application)

    def request(self, **given: Any) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON of what the application itself answers."""
        environ: dict[str, Any] = {}
        setup_testing_defaults(environ)
        environ |= {"HTTP_HOST": "testserver", "REMOTE_ADDR": "127.0.0.1", **given}
        started: list[Any] = []
        response = self.application(environ, lambda *arguments: started.extend(arguments))
        content = b"".join(response)
        close = getattr(response, "close", None)
        if close is not None:
            close()
        status, headers = started[0], dict(started[1])
        return int(status.split()[0]), headers, json.loads(content)


class ChunkedTests(ApplicationTestCase):
    def login(self, body: bytes) -> tuple[int, dict[str, str], Any]:
        return self.request(
            REQUEST_METHOD="POST",
            PATH_INFO="/api/v1/auth/login",
            CONTENT_TYPE="application/json",
            HTTP_TRANSFER_ENCODING="chunked",
            **{"wsgi.input": io.BytesIO(body)},
        )

    def test_a_chunked_body_is_read(self) -> None:
        status, headers, answer = self.login(b'{"document": "12345678901"}')
        assert status == 400
        assert list(answer["error"]["details"]) == ["password"]
        assert headers["X-RateLimit-Limit"] == "10"

    def test_a_chunked_body_that_is_too_large_is_413(self) -> None:
        status, headers, answer = self.login(b'{"document": "' + b"1" * 70_000 + b'"}')
        assert (status, answer["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
        assert headers["Content-Type"] == "application/json"


class MalformedTests(ApplicationTestCase):
    """What Django reads before any middleware of ours must not fault either."""

    def ask(self, query: str, content_type: str) -> int:
        status, headers, answer = self.request(
            PATH_INFO="/api/v1/auth/me", QUERY_STRING=query, CONTENT_TYPE=content_type
        )
        assert list(answer) == ["error"]
        assert headers["X-Request-ID"]
        assert headers["X-RateLimit-Limit"] == "10"
        return status

    def test_a_charset_that_is_no_text_encoding_is_no_fault(self) -> None:
        for charset in ("hex", "base64", "zlib", "rot13", "undefined", "punycode"):
            with self.subTest(charset):
                assert self.ask("limit=5", f"application/json; charset={charset}") == 401

    def test_a_charset_that_reads_the_query_otherwise_is_no_fault(self) -> None:
        for charset in ("utf-16", "utf-7", "idna", "cp037", "unicode_escape", "nonsense", ""):
            with self.subTest(charset):
                assert self.ask("limit=%35&a=%41", f"application/json; charset={charset}") == 401

    def test_very_many_query_parameters_are_no_fault(self) -> None:
        for content_type in ("", "application/json", "application/json; charset=utf-8"):
            with self.subTest(content_type):
                assert self.ask("a&" * 1500, content_type) in (400, 401)

    def test_a_malformed_query_is_no_fault(self) -> None:
        for query in ("%", "%zz", "%00", "&&&", "=", "a=%ff%fe", "\xff", ";", "limit[]=1"):
            with self.subTest(query):
                assert self.ask(query, "application/json") == 401


class ClosingTests(ApplicationTestCase):
    """What a request held is closed once it is answered; whoever fails to is told of."""

    def test_what_cannot_be_closed_is_logged_and_the_rest_is_closed(self) -> None:
        failing = mock.patch.object(WSGIRequest, "close", side_effect=OSError("no space left"))
        with (
            failing,
            mock.patch("fluxiq.wsgi._give_back_connection") as connections,
            self.assertLogs("fluxiq.wsgi", "ERROR") as logged,
        ):
            status, _, answer = self.request(PATH_INFO="/healthz")
        assert (status, answer) == (200, {"data": {"status": "live"}})
        connections.assert_called_once_with()
        (record,) = logged.records
        assert "could not be closed" in record.getMessage()
        assert record.exc_info is not None
        assert "no space left" in str(record.exc_info[1])

    def test_so_is_what_a_view_left_to_be_closed(self) -> None:
        held = HttpResponse(b"{}")
        held._resource_closers.append(mock.Mock(side_effect=ValueError("still in use")))  # type: ignore[attr-defined]
        self.application = handler = Handler()
        handler._middleware_chain = lambda request: held  # type: ignore[attr-defined]
        with self.assertLogs("fluxiq.wsgi", "ERROR") as logged:
            assert self.request(PATH_INFO="/healthz")[0] == 200
        assert "still in use" in str(logged.records[0].exc_info)

    def test_nothing_is_logged_where_all_is_closed(self) -> None:
        with self.assertNoLogs("fluxiq.wsgi"):
            assert self.request(PATH_INFO="/healthz")[0] == 200
