"""The limit headers of a 503 to a caller who could not be verified, or not counted."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from django.db import InterfaceError, OperationalError

from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import issue_key

AWAY = (OperationalError("the database is away"), InterfaceError("connection already closed"))


class OutageTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        _, self.secret = issue_key(self.bakery)
        self.bearer(self.olga)
        self.forget_counts()  # and whoever is remembered

    @contextmanager
    def no_database(self, error: Exception) -> Iterator[list[mock.Mock]]:
        """A block in which whoever asks the database for a credential is told that it is away."""
        with (
            mock.patch("authn.authentication.Session.objects.live_of", side_effect=error) as tokens,
            mock.patch("authn.authentication.ApiKey.objects.verify", side_effect=error) as keys,
            mock.patch("authn.sessions.Session.objects.live", side_effect=error) as refreshes,
        ):
            yield [tokens, keys, refreshes]

    def assert_looked(self, response: Any) -> None:
        """503, with the headers of the address's bucket, in which nothing was counted."""
        assert self.error(response, 503)["code"] == "SERVICE_UNAVAILABLE"
        assert response.headers["X-RateLimit-Limit"] == "10"
        assert response.headers["X-RateLimit-Remaining"] == "10"
        assert 0 < int(response.headers["X-RateLimit-Reset"]) - time.time() <= 61
        assert response.headers["RateLimit-Policy"] == '"address";q=10;w=60'
        assert response.headers["Cache-Control"] == "no-store"

    def test_the_database_is_away(self) -> None:
        refresh = {"refresh_token": self.sign_in(self.olga).refresh_token}
        for error in AWAY:
            for method, path, caller, body in (
                ("GET", "/accounts", self.olga, None),
                ("GET", "/auth/verify", self.secret, None),
                ("POST", "/accounts", self.secret, {"name": "Savings"}),
                ("GET", "/no/such/url", self.olga, None),
                ("POST", "/auth/refresh", None, refresh),
            ):
                with (
                    self.subTest(f"{path} {type(error).__name__}"),
                    self.no_database(error) as asked,
                    self.assertLogs(level="ERROR") as logged,
                ):
                    self.assert_looked(self.call(method, path, caller, body))
                    assert sum(question.call_count for question in asked) == 1
                    assert len(logged.records) == 1
        assert self.get("/auth/me").headers["X-RateLimit-Remaining"] == "9"

    def test_the_bucket_shows_what_was_counted_before(self) -> None:
        for _ in range(3):
            self.assert_unauthorized(self.get("/auth/me"))
        with self.no_database(AWAY[0]):
            assert self.get("/accounts", self.olga).headers["X-RateLimit-Remaining"] == "7"

    def test_an_exhausted_address_is_not_answered_429(self) -> None:
        for _ in range(11):
            self.get("/auth/me")
        with self.no_database(AWAY[0]):
            response = self.get("/accounts", self.olga)
        self.error(response, 503)
        assert response.headers["X-RateLimit-Remaining"] == "0"

    def test_where_nobody_can_count_the_bucket_is_as_if_untouched(self) -> None:
        full = sqlite3.OperationalError("database or disk is full")
        for path in ("/accounts", "/no/such/url", "/auth/login", "/auth/refresh"):
            for caller in (self.olga, self.secret, None):
                with self.subTest(path), mock.patch("authn.ratelimit.get_usage", side_effect=full):
                    if (path, caller) != ("/auth/refresh", None):
                        self.assert_looked(self.post(path, caller))
