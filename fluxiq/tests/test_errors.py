"""The errors of the API, and which of them each exception is."""

import json
from typing import Any
from unittest import mock

import psycopg
import pytest
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, InternalError, OperationalError
from django.http import Http404
from django.test import RequestFactory
from rest_framework import exceptions

from fluxiq import error_handlers, errors
from fluxiq.limits import Usage
from fluxiq.tests.error_catalogue import CATALOGUE


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

    @pytest.mark.parametrize("answer", ["view", "gate"])
    def test_a_part_that_is_away_is_told_with_the_request_id_and_its_own_delay(
        self, answer: str
    ) -> None:
        raised = errors.ServiceUnavailable(retry_after=7)
        request = RequestFactory().get("/api/v1/auth/me")
        request.resolver_match = None
        request.request_id = "req_1"  # type: ignore[attr-defined]
        if answer == "gate":
            response = error_handlers.unavailable(request, raised)
            body, headers = json.loads(response.content), dict(response.headers)
        else:
            error = error_handlers.from_exception(raised, "req_1")
            assert error is not None
            body, headers = error.body(), error.headers()
        assert body["error"]["request_id"] == "req_1"
        assert headers["Retry-After"] == "7"

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
