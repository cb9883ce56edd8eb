"""What is counted for `/metrics`, one thing at a time, and who may not see it."""

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.db import OperationalError
from django.test import override_settings
from django.utils import timezone

from authn import sessions
from fluxiq import metrics
from fluxiq.audit.models import PendingEvent
from fluxiq.counters import Breaker
from fluxiq.counters.server import count_breaker
from fluxiq.errors import Unauthorized
from fluxiq.metrics import cells, shared
from fluxiq.metrics.families import RATE_LIMIT
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import PASSWORD
from fluxiq.tests.scraped import Samples, samples, value

TOKEN = "metrics-token-of-the-tests"


@override_settings(METRICS_TOKEN=TOKEN)
class MetricsTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        directory = self.enterContext(tempfile.TemporaryDirectory())
        self.enterContext(override_settings(METRICS_DIRECTORY=directory))
        shared.begin(Path(directory))
        self.addCleanup(cells._after_fork)  # lets go of the file

    def scrape(self) -> Samples:
        response = self.client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-store"
        return samples(response.content.decode())

    def sign_ins(self, result: str) -> float:
        return value(self.scrape(), "fluxiq_sign_ins_total", result=result)

    def login(self, document: str, password: str) -> int:
        body = {"document": document, "password": password}
        return int(self.post("/auth/login", None, body).status_code)

    def test_a_sign_in_is_counted_by_how_it_ended(self) -> None:
        assert self.login(self.olga.document, PASSWORD) == 200
        assert self.sign_ins("succeeded") == 1
        assert self.login("11144477735", PASSWORD) == 401
        assert self.sign_ins("unknown_document") == 1
        self.olga.is_active = False
        self.olga.save()
        assert self.login(self.olga.document, PASSWORD) == 401
        assert self.sign_ins("inactive") == 1
        for _ in range(5):
            assert self.login(self.sam.document, "wrong") == 401
        assert self.login(self.sam.document, PASSWORD) == 429
        assert self.sign_ins("wrong_password") == 5
        assert self.sign_ins("throttled") == 1
        assert self.sign_ins("succeeded") == 1
        limited = {"bucket": "signin-pair", "result": "limited"}
        assert value(self.scrape(), "fluxiq_rate_limit_total", **limited) == 1

    def test_a_refresh_is_counted_by_how_it_ended(self) -> None:
        token = self.sign_in(self.olga).refresh_token

        def refresh(presented: str) -> int:
            body = {"refresh_token": presented}
            return int(self.post("/auth/refresh", None, body).status_code)

        assert (refresh(token), refresh(token), refresh("nonsense")) == (200, 200, 401)
        with self.at(timezone.now() + timedelta(minutes=1)):
            assert refresh(token) == 401
        found = self.scrape()
        for result in ("rotated", "repeated", "refused", "reused"):
            assert value(found, "fluxiq_refreshes_total", result=result) == 1, result

    def test_a_refresh_of_a_session_that_is_over_is_counted_as_refused(self) -> None:
        token = self.sign_in(self.olga).refresh_token
        presented = sessions.present(token)
        sessions.end_all(self.olga, "over")
        with pytest.raises(Unauthorized):
            sessions.present(token)
        with pytest.raises(Unauthorized):
            sessions.rotate(presented)
        assert value(self.scrape(), "fluxiq_refreshes_total", result="refused") == 2

    @override_settings(RATE_LIMIT_JWT=(2, 60))
    def test_buckets_and_requests_are_counted_by_kind_route_and_status(self) -> None:
        statuses = [self.get("/accounts/acc_x", self.olga).status_code for _ in range(3)]
        assert statuses == [404, 404, 429]
        assert self.client.get("/nowhere").status_code == 404
        found = self.scrape()
        for result, count in (("allowed", 2), ("limited", 1)):
            labels = {"bucket": "user", "result": result}
            assert value(found, "fluxiq_rate_limit_total", **labels) == count
        (route,) = {
            labels["route"]
            for labels, _ in found["fluxiq_requests_total"]
            if labels["kind"] == "user"
        }
        assert route.startswith("/api/v1/accounts/<")
        counted = {"route": route, "kind": "user"}
        assert value(found, "fluxiq_requests_total", status="404", **counted) == 2
        assert value(found, "fluxiq_requests_total", status="429", **counted) == 1
        assert value(found, "fluxiq_requests_total", route="unmatched", kind="anonymous") == 1
        assert value(found, "fluxiq_request_duration_seconds_count", route=route) == 3

    def test_the_lag_of_the_seals_is_told(self) -> None:
        PendingEvent.objects.all().delete()
        found = self.scrape()
        assert value(found, "fluxiq_audit_unsealed_events") == 0
        assert value(found, "fluxiq_audit_oldest_unsealed_seconds") == 0
        self.sign_in(self.olga)
        with self.at(timezone.now() + timedelta(seconds=90)):
            found = self.scrape()
        assert value(found, "fluxiq_audit_unsealed_events") == PendingEvent.objects.count() == 1
        assert 90 <= value(found, "fluxiq_audit_oldest_unsealed_seconds") < 100

    def test_a_database_that_is_away_is_told_and_the_rest_still_is(self) -> None:
        self.get("/auth/me")
        with mock.patch.object(PendingEvent.objects, "order_by", side_effect=OperationalError):
            found = self.scrape()
        assert value(found, "fluxiq_degraded", part="database") == 1
        assert value(found, "fluxiq_requests_total", route="/api/v1/auth/me", status="401") == 1
        assert value(self.scrape(), "fluxiq_degraded", part="database") == 0

    def test_the_breaker_is_told_with_its_openings(self) -> None:
        breaker = Breaker("server", 1, on_change=count_breaker)
        for is_open, openings in ((1, 1), (0, 1), (1, 2)):
            for _ in range(2):
                if is_open:
                    breaker.open(OSError())
                else:
                    breaker.close()
            found = self.scrape()
            assert value(found, "fluxiq_breaker_open") == is_open
            assert value(found, "fluxiq_degraded", part="counters") == is_open
            assert value(found, "fluxiq_breaker_openings_total") == openings

    def test_nobody_else_sees_anything(self) -> None:
        def ask(header: str) -> Any:
            return self.client.get("/metrics", headers={"Authorization": header})

        session = self.bearer(self.root)["HTTP_AUTHORIZATION"]
        bad = ("", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "é", session)
        for header in bad:
            assert self.error(ask(header), 401)["code"] == "UNAUTHORIZED"
        with override_settings(METRICS_TOKEN=""):
            for header in (*bad, f"Bearer {TOKEN}"):
                assert self.error(ask(header), 404)["code"] == "NOT_FOUND"

    def test_counting_alone_leaves_no_trace_of_who_was_counted(self) -> None:
        self.get("/auth/me", self.olga)
        metrics.add(RATE_LIMIT, "user", "allowed")
        written = repr(self.scrape())
        for secret in (self.olga.id, self.olga.document, "127.0.0.1"):
            assert secret not in written
