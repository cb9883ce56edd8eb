"""Every error is answered in the one envelope, with all headers, wherever it comes from."""

import json
from typing import Any, ClassVar
from unittest import mock

from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.test import override_settings
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response

from fluxiq import urls
from fluxiq.errors import ServiceUnavailable
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.error_catalogue import CATALOGUE
from fluxiq.views import ApiView

SECRET = "a text of the exception that nobody may read"


class RaisingView(ApiView):
    """Raises what the test says."""

    required_permissions: ClassVar = {"GET": None}
    raised: ClassVar[Exception]

    def get(self, request: Request) -> Response:
        raise self.raised


urlpatterns = [path("api/v1/raising", RaisingView.as_view()), *urls.urlpatterns]
handler400, handler403 = urls.handler400, urls.handler403
handler404, handler500 = urls.handler404, urls.handler500


@override_settings(ROOT_URLCONF="fluxiq.tests.test_error_envelope")
class EnvelopeTests(ApiTestCase):
    def raising(self, raised: Exception) -> Any:
        with mock.patch.object(RaisingView, "raised", raised, create=True):
            return self.get("/raising", self.olga)

    def assert_complete(self, response: Any) -> None:
        """What every answer under /api/ carries."""
        for name in ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"):
            assert response.headers[name].isdigit(), name
        assert "Authorization" in response.headers["Vary"]
        assert response.headers["X-Request-ID"]
        assert response.headers["Cache-Control"] == "no-store"

    def test_500_tells_nothing_but_the_request_id(self) -> None:
        with self.assertLogs("django.request", "ERROR") as logged:
            response = self.raising(RuntimeError(SECRET))
        error = self.error(response, 500)
        assert sorted(error) == ["code", "message", "request_id"]
        assert error["code"] == "INTERNAL_ERROR"
        assert error["request_id"] == response.headers["X-Request-ID"]
        assert SECRET not in response.content.decode()
        assert "Traceback" not in response.content.decode()
        assert any(record.exc_info for record in logged.records)
        self.assert_complete(response)

    def test_503_tells_nothing_but_the_request_id(self) -> None:
        for raised in (OperationalError(SECRET), InterfaceError(SECRET), ServiceUnavailable()):
            with self.assertLogs(level="ERROR") as logged:
                response = self.raising(raised)
            (record,) = logged.records  # one line, and no traceback: an outage has many
            assert record.exc_info is None
            assert type(raised).__name__ in record.getMessage()
            error = self.error(response, 503)
            assert error["code"] == "SERVICE_UNAVAILABLE"
            assert error["request_id"] == response.headers["X-Request-ID"]
            assert int(response.headers["Retry-After"]) >= 1
            assert SECRET not in response.content.decode()
            self.assert_complete(response)

    def test_each_error_of_a_view_is_in_the_envelope_with_all_headers(self) -> None:
        for error, status, code in CATALOGUE:
            if status < 500:
                response = self.raising(error)
                assert self.error(response, status)["code"] == code
                for name, value in error.headers().items():
                    assert response.headers[name] == value
                self.assert_complete(response)

    def test_what_django_itself_refuses_is_in_the_envelope(self) -> None:
        response = self.raising(SuspiciousOperation(SECRET))
        assert self.error(response, 400)["code"] == "VALIDATION_ERROR"
        assert SECRET not in response.content.decode()
        self.assert_complete(response)

    def test_a_host_that_is_not_ours_is_400_in_the_envelope(self) -> None:
        response = self.get("/accounts", self.olga, HTTP_HOST="evil.example")
        assert self.error(response, 400)["code"] == "VALIDATION_ERROR"
        assert "evil" not in response.content.decode()
        self.assert_complete(response)

    def test_an_unknown_url_is_404_in_the_envelope(self) -> None:
        for url in ("/nope", "/accounts/", "//accounts", "/accounts/a/b", "/%00", "/%ff", "/.."):
            for caller in (None, self.olga):
                response = self.get(url, caller)
                assert self.error(response, 404)["code"] == "NOT_FOUND"
                self.assert_complete(response)
            self.forget_counts()

    def test_an_unknown_url_outside_the_api_is_404_in_the_envelope_too(self) -> None:
        for url in ("/nope", "/api", "/.env", "/.well-known/x"):
            response: Any = self.client.get(url)
            assert self.error(response, 404)["code"] == "NOT_FOUND"

    def test_405_names_what_is_allowed(self) -> None:
        for method in ("PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "FOO", "DISPATCH", "READ"):
            response = self.call(method, "/accounts", self.olga)
            assert self.error(response, 405)["code"] == "METHOD_NOT_ALLOWED", method
            allowed = response.headers["Allow"].split(", ")
            assert {"GET", "POST"} <= set(allowed)
            assert method not in allowed
            self.assert_complete(response)

    def test_each_method_that_allow_names_is_answered(self) -> None:
        allowed = self.call("PUT", "/accounts", self.olga).headers["Allow"].split(", ")
        for method in allowed:
            response = self.call(method, "/accounts", self.olga)
            assert response.status_code not in (403, 405), method

    def test_406_where_json_is_not_accepted(self) -> None:
        for accept in ("text/html", "application/xml", "text/*", "nonsense"):
            response = self.get("/accounts", self.olga, HTTP_ACCEPT=accept)
            assert self.error(response, 406)["code"] == "NOT_ACCEPTABLE", accept
            self.assert_complete(response)

    def test_json_is_served_where_it_is_among_what_is_accepted(self) -> None:
        for accept in ("*/*", "application/*", "text/html, */*;q=0.1", "application/json"):
            assert self.get("/accounts", self.olga, HTTP_ACCEPT=accept).status_code == 200, accept

    def test_415_where_the_body_is_no_json(self) -> None:
        body = json.dumps({"name": "Savings"})
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
                     "application/xml", "application/jsonp", "nonsense", "/", ";"):  # fmt: skip
            response = self.call("POST", "/accounts", self.olga, body, content_type=kind)
            assert self.error(response, 415)["code"] == "UNSUPPORTED_MEDIA_TYPE", kind
            self.assert_complete(response)

    def test_413_over_64_kib_and_not_at_64_kib(self) -> None:
        def body(size: int) -> bytes:
            return b'{"name": "' + b"x" * (size - 12) + b'"}'

        assert len(body(65_536)) == 65_536
        self.assert_invalid(self.call("POST", "/accounts", self.olga, body(65_536)), "name")
        for caller in (self.olga, None):
            response = self.call("POST", "/accounts", caller, body(65_537))
            assert self.error(response, 413)["code"] == "PAYLOAD_TOO_LARGE"
            self.assert_complete(response)

    def test_a_length_that_is_no_number_is_no_fault(self) -> None:
        for length in ("", "x", "-1", "1e3"):
            response = self.call("POST", "/accounts", self.olga, "{}", CONTENT_LENGTH=length)
            assert self.error(response, 400)["code"] == "VALIDATION_ERROR", length

    def test_an_error_to_anybody_is_in_the_envelope(self) -> None:
        self.assert_unauthorized(self.get("/accounts"))
        self.assert_complete(self.get("/accounts"))

    def test_the_staff_console_has_its_own_pages(self) -> None:
        response = self.client.get("/admin/nope")
        assert response.headers["Content-Type"].startswith("text/html")


class LogTests(ApiTestCase):
    def test_what_the_client_did_wrong_is_no_error_of_ours(self) -> None:
        with self.assertNoLogs(level="ERROR"):
            self.get("/accounts")
            self.get("/accounts", "sk_live_" + "x" * 38)
            self.post("/accounts", self.olga, {"nome": "x"})
            self.get("/nope", self.olga)
