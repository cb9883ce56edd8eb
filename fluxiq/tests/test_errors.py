"""The errors of the API and their one envelope, whatever raised them and wherever."""

import json
from typing import Any, ClassVar
from unittest import mock

import psycopg
import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, InternalError, OperationalError
from django.http import Http404
from django.test import override_settings
from django.urls import path
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from fluxiq import error_handlers, errors, urls
from fluxiq.limits import Usage
from fluxiq.tests.base import ApiTestCase
from fluxiq.views import ApiView

SECRET = "a text of the exception that nobody may read"

CATALOGUE: list[tuple[errors.ApiError, int, str]] = [
    (errors.ValidationFailed({"name": ["x"]}), 400, "VALIDATION_ERROR"),
    (errors.Unauthorized(), 401, "UNAUTHORIZED"),
    (errors.Forbidden("pix:write"), 403, "FORBIDDEN"),
    (errors.NotFound(), 404, "NOT_FOUND"),
    (errors.MethodNotAllowed(), 405, "METHOD_NOT_ALLOWED"),
    (errors.NotAcceptable(), 406, "NOT_ACCEPTABLE"),
    (errors.Conflict(), 409, "CONFLICT"),
    (errors.PayloadTooLarge(), 413, "PAYLOAD_TOO_LARGE"),
    (errors.UnsupportedMediaType(), 415, "UNSUPPORTED_MEDIA_TYPE"),
    (errors.RateLimited(Usage("user", 100, 101, 60, 0)), 429, "RATE_LIMITED"),
    (errors.InternalError("req_1"), 500, "INTERNAL_ERROR"),
    (errors.ServiceUnavailable("req_1"), 503, "SERVICE_UNAVAILABLE"),
]


class TestCatalogue:
    @pytest.mark.parametrize(("error", "status", "code"), CATALOGUE)
    def test_each_has_its_documented_status_and_code(
        self, error: errors.ApiError, status: int, code: str
    ) -> None:
        assert error.status_code == status
        body = error.body()
        assert list(body) == ["error"]
        assert body["error"]["code"] == code
        assert body["error"]["message"]
        assert json.loads(errors.render(error).content) == body

    def test_401_is_as_in_the_source(self) -> None:
        assert errors.Unauthorized().body() == {
            "error": {
                "code": "UNAUTHORIZED",
                "message": "Invalid or expired authentication token",
            }
        }
        assert errors.Unauthorized().headers() == {"WWW-Authenticate": "Bearer"}

    def test_403_is_as_in_the_source(self) -> None:
        assert errors.Forbidden("pix:write").body() == {
            "error": {
                "code": "FORBIDDEN",
                "message": "Insufficient permissions for this operation",
                "required_permission": "pix:write",
            }
        }
        assert errors.Forbidden().body()["error"]["required_permission"] is None

    def test_429_says_one_number_three_times(self) -> None:
        with mock.patch("time.time", return_value=1000.0):
            error = errors.RateLimited(Usage("user", 100, 101, 60, 1030))
        assert error.body() == {
            "error": {
                "code": "RATE_LIMITED",
                "message": "Rate limit exceeded. Retry after 30 seconds",
                "retry_after": 30,
            }
        }
        assert error.headers() == {"Retry-After": "30"}

    def test_the_extras_of_one_error_are_not_those_of_the_next(self) -> None:
        one, other = errors.ServiceUnavailable("req_1"), errors.ServiceUnavailable("req_2")
        one.extra["details"] = {"database": ["unreachable"]}
        assert "details" not in other.body()["error"]


class TestFromException:
    @pytest.mark.parametrize(
        ("raised", "status"),
        [
            (errors.Conflict("no"), 409),
            (exceptions.ValidationError({"a": ["b"]}), 400),
            (exceptions.ParseError("bad"), 400),
            (exceptions.NotAuthenticated(), 401),
            (exceptions.AuthenticationFailed("which one it was"), 401),
            (exceptions.PermissionDenied("why"), 403),
            (PermissionDenied("why"), 403),
            (exceptions.NotFound("what"), 404),
            (Http404("what"), 404),
            (exceptions.MethodNotAllowed("PUT"), 405),
            (exceptions.NotAcceptable(), 406),
            (exceptions.UnsupportedMediaType("text/plain"), 415),
            (OperationalError("connection refused"), 503),
            (InterfaceError("connection already closed"), 503),
        ],
    )
    def test_each_is_its_documented_error(self, raised: Exception, status: int) -> None:
        error = error_handlers.from_exception(raised, "req_1")
        assert error is not None
        assert error.status_code == status
        assert "which one" not in json.dumps(error.body())
        assert "refused" not in json.dumps(error.body())

    def test_a_standby_that_refuses_to_write_is_a_database_that_is_away(self) -> None:
        refused = InternalError("cannot execute INSERT in a read-only transaction")
        assert error_handlers.from_exception(refused, "req_1") is None  # for whatever other reason
        refused.__cause__ = psycopg.errors.ReadOnlySqlTransaction()
        error = error_handlers.from_exception(refused, "req_1")
        assert error is not None
        assert error.status_code == 503

    @pytest.mark.parametrize("raised", [ValueError("x"), KeyError("x"), RuntimeError("x")])
    def test_what_nobody_expected_is_left_to_the_500(self, raised: Exception) -> None:
        assert error_handlers.from_exception(raised, "req_1") is None

    @pytest.mark.parametrize(
        ("detail", "details"),
        [
            ({"name": ["Required.", "Short."]}, {"name": ["Required.", "Short."]}),
            ({"name": "Required."}, {"name": ["Required."]}),
            ({"non_field_errors": ["No."]}, {"body": ["No."]}),
            (["No."], {"body": ["No."]}),
            ("No.", {"body": ["No."]}),
            ({"a": {"b": ["No."]}}, {"a.b": ["No."]}),
            ({"a": [{}, {"b": ["No."]}]}, {"a.1.b": ["No."]}),
            ({"a": {1: ["No."]}}, {"a.1": ["No."]}),
        ],
    )
    def test_details_are_messages_by_field(
        self, detail: Any, details: dict[str, list[str]]
    ) -> None:
        error = error_handlers.from_exception(exceptions.ValidationError(detail), None)
        assert error is not None
        assert error.body()["error"]["details"] == details


class RaisingView(ApiView):
    """Raises what the test says."""

    required_permissions: ClassVar = {"GET": None}
    raised: ClassVar[Exception]

    def get(self, request: Request) -> Response:
        raise self.raised


urlpatterns = [path("api/v1/raising", RaisingView.as_view()), *urls.urlpatterns]
handler400, handler403 = urls.handler400, urls.handler403
handler404, handler500 = urls.handler404, urls.handler500


@override_settings(ROOT_URLCONF="fluxiq.tests.test_errors")
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
        for raised in (OperationalError(SECRET), InterfaceError(SECRET)):
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
