"""`purge_expired`."""

from datetime import datetime, timedelta
from typing import Any
from unittest import skipUnless

from django.contrib.sessions.models import Session as StaffSession
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from authn import sessions
from authn.models import ApiKeyUsage, MovedBatch, Session
from authn.models.usage import HourOfUse
from authn.sessions import TokenPair
from authn.tests.commands import CommandTestCase
from authn.throttle import KNOWN_ADDRESS_AGE
from fluxiq.audit.models import AuditEvent
from fluxiq.tests.factories import issue_key
from merchants.models import Membership

WEEK = timedelta(days=7)
KEPT = WEEK + KNOWN_ADDRESS_AGE


class PurgeExpiredTests(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = timezone.now()

    def signed_in(self, ago: timedelta) -> TokenPair:
        """Olga's tokens, of a session that began so long ago."""
        with self.at(self.now - ago):
            return self.sign_in(self.olga)

    def refresh(self, ago: timedelta) -> None:
        """Continue every session, so long ago. (A token's own expiry is read off a real clock.)"""
        with self.at(self.now - ago):
            for session in Session.objects.live().select_related("user", "current"):
                assert session.current is not None
                sessions.rotate(sessions.Presented(session.current.jti, session))

    def purge(self, *options: str, at: datetime | None = None) -> dict[str, int]:
        """What was removed."""
        with self.at(at or self.now):
            removed: dict[str, int] = self.result("purge_expired", *options)
            return removed

    def test_a_session_goes_a_month_after_its_last_token_expired_with_all_its_tokens(self) -> None:
        self.signed_in(KEPT + timedelta(days=1))
        self.refresh(KEPT)
        assert self.purge() == {"sessions": 1, "tokens": 2, "staff_sessions": 0, "usage": 0}
        assert not Session.objects.exists()
        assert not OutstandingToken.objects.exists()
        assert not BlacklistedToken.objects.exists()

    def test_until_then_it_stays(self) -> None:
        self.signed_in(KEPT - timedelta(seconds=1))
        assert self.purge() == {"sessions": 0, "tokens": 0, "staff_sessions": 0, "usage": 0}

    def test_an_ended_session_stays_while_a_token_of_it_could_be_presented(self) -> None:
        pair = self.signed_in(timedelta(days=1))
        sessions.end_by_access_token(pair.access_token)
        assert self.purge()["sessions"] == 0
        assert BlacklistedToken.objects.count() == 1
        self.assert_unauthorized(
            self.post("/auth/refresh", body={"refresh_token": pair.refresh_token})
        )

    def test_tokens_of_a_purged_session_are_refused(self) -> None:
        pair = self.signed_in(KEPT)
        self.purge()
        with self.at(self.now - KEPT):  # were the clock turned back
            body = {"refresh_token": pair.refresh_token}
            self.assert_unauthorized(self.post("/auth/refresh", body=body))
            self.assert_unauthorized(self.get("/auth/me", pair.access_token))

    def test_a_live_session_keeps_its_current_token_and_loses_the_expired_ones(self) -> None:
        self.signed_in(timedelta(days=12))
        self.refresh(timedelta(days=8))
        self.refresh(timedelta(days=6))
        assert self.purge() == {"sessions": 0, "tokens": 2, "staff_sessions": 0, "usage": 0}
        session = Session.objects.get()
        assert list(OutstandingToken.objects.all()) == [session.current]
        self.refresh(timedelta())
        assert Session.objects.live().exists()

    def test_a_retired_token_stays_until_it_has_expired(self) -> None:
        self.signed_in(timedelta(days=2))
        self.refresh(timedelta(days=1))
        assert self.purge()["tokens"] == 0
        assert BlacklistedToken.objects.count() == 1

    def test_where_somebody_signed_in_from_is_known_as_long_as_the_throttle_asks(self) -> None:
        with self.settings(SESSION_MAX_AGE=60):
            self.signed_in(KNOWN_ADDRESS_AGE)
        self.purge()
        assert Session.objects.filter(address="127.0.0.1").exists()

    def test_tokens_that_no_session_points_at_go_once_they_expired(self) -> None:
        for expires_at in (self.now, self.now + timedelta(seconds=1)):
            OutstandingToken.objects.create(
                user=self.olga, jti=str(expires_at), token="", expires_at=expires_at
            )
        assert self.purge()["tokens"] == 1
        assert OutstandingToken.objects.get().expires_at > self.now

    def test_expired_sessions_of_the_staff_console_go(self) -> None:
        for name, ends in (("past", self.now), ("live", self.now + timedelta(hours=1))):
            StaffSession.objects.create(session_key=name, session_data="", expire_date=ends)
        assert self.purge()["staff_sessions"] == 1
        assert StaffSession.objects.get().session_key == "live"

    def test_counts_of_use_go_after_400_days_and_what_tells_that_they_were_moved_after_30(
        self,
    ) -> None:
        api_key, _ = issue_key(self.bakery)
        for days in (30, 31, 400, 401):
            hour = self.now - timedelta(days=days)
            with self.at(hour):
                ApiKeyUsage.objects.add(f"{days}", [HourOfUse(api_key.id, hour, 1, 0, 0)])
        assert self.purge()["usage"] == 1
        oldest = ApiKeyUsage.objects.order_by("hour")[0]
        assert oldest.hour == self.now - timedelta(days=400)
        assert MovedBatch.objects.get().id == "30"

    def test_what_many_batches_remove_is_all_there_is(self) -> None:
        for _ in range(5):
            self.signed_in(KEPT)
        kept = self.signed_in(timedelta())
        removed = self.purge("--batch-size", "2")
        assert removed == {"sessions": 5, "tokens": 5, "staff_sessions": 0, "usage": 0}
        body = {"refresh_token": kept.refresh_token}
        self.data(self.post("/auth/refresh", body=body))

    def test_no_statement_touches_more_than_a_batch(self) -> None:
        for _ in range(5):
            self.signed_in(KEPT)
        self.refresh(KEPT)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            self.purge("--batch-size", "2")
        listed = [q["sql"] for q in queries if " IN (" in q["sql"]]
        assert listed
        assert all(sql.partition(" IN (")[2].count(",") <= 1 for sql in listed), listed

    def test_an_interrupted_purge_keeps_what_it_has_done(self) -> None:
        for _ in range(3):
            self.signed_in(KEPT)
        deletions: list[str] = []

        def fail_at_the_second(execute: Any, sql: str, *rest: Any) -> Any:
            if sql.startswith("DELETE"):
                deletions.append(sql)
                if len(deletions) > 1:
                    raise OperationalError("gone away")
            return execute(sql, *rest)

        with connection.execute_wrapper(fail_at_the_second), self.at(self.now):
            refusal = self.refusal("purge_expired", "--batch-size", "1")
        assert refusal.startswith("the database cannot be used: gone away")
        assert Session.objects.count() == 2

    def test_audit_events_and_invitations_stay(self) -> None:
        self.signed_in(KEPT)
        principal = self.olga.sessions.get().principal()
        with self.at(self.now - timedelta(days=90)):
            Membership.objects.invite(
                principal, self.bakery, document="99988877766", name="Nina", role="operator"
            )
        events, members = AuditEvent.objects.count(), Membership.objects.count()
        self.purge()
        assert AuditEvent.objects.count() == events
        assert Membership.objects.count() == members

    def test_it_says_what_it_removed(self) -> None:
        self.signed_in(KEPT)
        stdout, _ = self.run_command("purge_expired")
        assert stdout == "Removed sessions: 1, tokens: 1, staff sessions: 0, usage: 0.\n"

    def test_a_batch_size_that_makes_no_sense_is_refused(self) -> None:
        for size in ("0", "-1", "10001", "many", ""):
            with self.subTest(size):
                refusal = self.refusal("purge_expired", f"--batch-size={size}")
                assert refusal.startswith("batch_size: ")

    @skipUnless(connection.vendor == "sqlite", "reads SQLite's query plan")
    def test_no_table_is_read_from_end_to_end(self) -> None:
        self.signed_in(KEPT)
        self.refresh(KEPT)
        with CaptureQueriesContext(connection) as queries:
            self.purge()
        read = [q["sql"] for q in queries if q["sql"].startswith(("SELECT", "DELETE"))]
        assert len(read) >= 6
        with connection.cursor() as cursor:
            for sql in read:
                plan = cursor.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
                scans = [step[3] for step in plan if step[3].startswith("SCAN ")]
                assert not scans, (sql, plan)
