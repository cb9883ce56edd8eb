"""Live and ready: for load balancers, public, uncounted, without a secret."""

import json
import sqlite3
from typing import Any
from unittest import mock

from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.test import Client, TestCase

from fluxiq import health

SECRET = "password of the database"


class HealthTests(TestCase):
    def setUp(self) -> None:
        self.client = Client(raise_request_exception=False)
        fresh = mock.patch.object(health, "_migrated", False)
        fresh.start()
        self.addCleanup(fresh.stop)

    def assert_not_ready(self, response: Any, part: str) -> None:
        assert response.status_code == 503
        error = json.loads(response.content)["error"]
        assert error["code"] == "SERVICE_UNAVAILABLE"
        assert list(error["details"]) == [part]
        assert error["request_id"] == response.headers["X-Request-ID"]
        assert SECRET not in response.content.decode()
        assert response.headers["Cache-Control"] == "no-store"

    def test_live_asks_nothing_of_the_database(self) -> None:
        with self.assertNumQueries(0):
            response = self.client.get("/healthz")
        assert (response.status_code, response.json()) == (200, {"data": {"status": "live"}})

    def test_live_is_live_while_the_database_is_away(self) -> None:
        with mock.patch.object(connection, "cursor", side_effect=OperationalError(SECRET)):
            assert self.client.get("/healthz").status_code == 200

    def test_ready_with_a_database_that_answers_and_is_migrated(self) -> None:
        response = self.client.get("/readyz")
        assert (response.status_code, response.json()) == (200, {"data": {"status": "ready"}})

    def test_both_are_not_kept_by_caches(self) -> None:
        for url in ("/healthz", "/readyz"):
            assert self.client.get(url).headers["Cache-Control"] == "no-store"

    def test_ready_asks_the_database_each_time(self) -> None:
        assert self.client.get("/readyz").status_code == 200
        with mock.patch.object(connection, "cursor", side_effect=OperationalError(SECRET)):
            self.assert_not_ready(self.client.get("/readyz"), "database")
        assert self.client.get("/readyz").status_code == 200

    def test_not_ready_whichever_way_the_database_is_away(self) -> None:
        for away in (OperationalError, DatabaseError, InterfaceError):
            with mock.patch.object(connection, "cursor", side_effect=away(SECRET)):
                self.assert_not_ready(self.client.get("/readyz"), "database")

    def test_not_ready_until_every_migration_is_applied(self) -> None:
        plan = "django.db.migrations.executor.MigrationExecutor.migration_plan"
        with mock.patch(plan, return_value=[("a migration", False)]):
            self.assert_not_ready(self.client.get("/readyz"), "migrations")
        assert self.client.get("/readyz").status_code == 200

    def test_degraded_while_this_host_counts_for_itself(self) -> None:
        with mock.patch("fluxiq.counters.of_requests") as of_requests:
            of_requests().is_degraded.return_value = True
            of_requests().get.return_value = None  # no write was refused
            response = self.client.get("/readyz")
        data = {"status": "degraded", "counters": "this host alone"}
        assert (response.status_code, response.json()) == (200, {"data": data})

    def test_not_ready_where_requests_cannot_be_counted(self) -> None:
        with mock.patch("fluxiq.counters.of_requests") as of_requests:
            of_requests().is_degraded.side_effect = sqlite3.OperationalError(SECRET)
            self.assert_not_ready(self.client.get("/readyz"), "counters")

    def test_they_are_public_and_ask_for_no_credential(self) -> None:
        for url in ("/healthz", "/readyz"):
            assert self.client.get(url, HTTP_AUTHORIZATION="Bearer x").status_code == 200

    def test_they_are_not_counted_and_carry_no_limit(self) -> None:
        for _ in range(15):
            response = self.client.get("/healthz")
            assert response.status_code == 200
            assert "X-RateLimit-Limit" not in response.headers
        assert self.client.get("/readyz").status_code == 200

    def test_head_is_answered(self) -> None:
        for url in ("/healthz", "/readyz"):
            response = self.client.head(url)
            assert (response.status_code, response.content) == (200, b"")
