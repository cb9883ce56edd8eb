"""The console's home page: what is counted, what somebody should look at, and what it costs."""

import re
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from authn import figures
from authn.models import ApiKey, ApiKeyUsage, Session, UsageTotal
from authn.models.usage import HourOfUse
from fluxiq import ids
from fluxiq.audit import tallies
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.panels import Chart, Series, round_up, sparkline
from fluxiq.tests.console import ConsoleTestCase
from fluxiq.tests.factories import issue_key

LONG_AGO = timedelta(days=400)


class HomeTests(ConsoleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enter(self.root)
        self.hour = timezone.now().replace(minute=0, second=0, microsecond=0)

    def use(self, api_key: ApiKey, hours_ago: int, *counts: int) -> None:
        hour = self.hour - timedelta(hours=hours_ago)
        row = HourOfUse(api_key.pk, hour, *counts)
        ApiKeyUsage.objects.add(f"{api_key.pk[-12:]}{hours_ago}", [row])

    def key(self, name: str, **changes: Any) -> ApiKey:
        api_key, _secret = issue_key(self.bakery, name=name)
        ApiKey.objects.filter(pk=api_key.pk).update(**changes)
        return api_key

    def totals(self, title: str) -> dict[str, int]:
        found = {str(chart.title): chart for chart in self.client.get("/admin/").context["charts"]}
        return {str(s.name): sum(s.values) for s in found[title].series}

    def test_requests_are_counted_over_a_day_and_a_month(self) -> None:
        api_key = self.key("Shop")
        self.use(api_key, 0, 5, 2, 1)
        self.use(api_key, 23, 10, 0, 0)
        self.use(api_key, 24, 100, 0, 0)
        self.use(api_key, 24 * 40, 1000, 0, 0)
        day = {"admitted": 15, "refused": 2, "limited": 1}
        assert self.totals("Requests with keys, 24 hours") == day
        assert self.totals("Requests with keys, 30 days") == day | {"admitted": 115}

    def test_the_totals_are_what_the_keys_rows_add_up_to(self) -> None:
        one, other = self.key("One"), self.key("Other")
        rows = [HourOfUse(one.pk, self.hour, 3, 1, 0), HourOfUse(other.pk, self.hour, 4, 0, 2)]
        ApiKeyUsage.objects.add("first", rows)
        ApiKeyUsage.objects.add("first", rows)
        ApiKeyUsage.objects.add("second", rows[:1])
        total = UsageTotal.objects.get(hour=self.hour)
        assert (total.admitted, total.refused, total.limited) == (10, 2, 2)

    def test_the_days_of_a_key_are_its_own_admitted_requests(self) -> None:
        one, other = self.key("One"), self.key("Other")
        self.use(one, 0, 5, 2, 1)
        self.use(one, 48, 3, 0, 0)
        self.use(one, 24 * 40, 100, 0, 0)
        self.use(other, 0, 7, 0, 0)
        days = figures.days_of_keys([one, other])
        assert (days[one.pk][-1], days[one.pk][-3], sum(days[one.pk])) == (5, 3, 8)
        assert sum(days[other.pk]) == 7

    def test_sign_ins_are_counted_from_the_trail(self) -> None:
        self.sign_in(self.olga)
        self.sign_in(self.ana)
        old = timezone.now() - timedelta(days=3)
        AuditEvent.objects.create(
            id=ids.first_at(ids.Prefix.EVENT, old), kind=Kind.SESSION_STARTED, at=old
        )
        assert self.totals("Sign-ins, 24 hours")["good"] == 2
        assert self.totals("Sign-ins, 30 days")["good"] == 3

    def test_failures_of_a_minute_count_as_many_as_they_were(self) -> None:
        now = timezone.now()
        told = [
            (Kind.SIGN_IN_FAILED, now, 40),
            (Kind.SIGN_IN_FAILED, now, 1),
            (Kind.SIGN_IN_THROTTLED, now, 2),
            (Kind.PERMISSION_REFUSED, now, 500),
            (Kind.SIGN_IN_FAILED, now - timedelta(days=3), 7),
            (Kind.SIGN_IN_FAILED, now - timedelta(days=40), 1000),
        ]
        for count in told:
            tallies.add_to_hours([count])
        assert self.totals("Sign-ins, 24 hours")["failed"] == 43
        assert self.totals("Sign-ins, 30 days")["failed"] == 50

    def test_failures_cost_no_more_however_many_events_told_them(self) -> None:
        tallies.add_to_hours([(Kind.SIGN_IN_FAILED, timezone.now(), 1)] * 100)
        with CaptureQueriesContext(connection) as captured:
            assert self.totals("Sign-ins, 24 hours")["failed"] == 100
        asked = [q["sql"] for q in captured if "audit_auditevent" in q["sql"]]
        assert asked
        assert not [sql for sql in asked if "sign_in.failed" in sql]

    def test_a_wrong_password_shows_once_its_minute_is_told(self) -> None:
        body = {"document": self.olga.document, "password": "wrong"}
        assert self.post("/auth/login", None, body).status_code == 401
        tallies.store()
        later = timezone.now() + timedelta(minutes=2)
        with mock.patch("django.utils.timezone.now", return_value=later):
            assert tallies.tell() == 1
            assert self.totals("Sign-ins, 24 hours") == {"good": 0, "failed": 1}

    def test_staff_who_sign_in_to_the_console_count_too(self) -> None:
        AuditEvent.objects.create(kind=Kind.STAFF_SIGNED_IN)
        assert self.totals("Sign-ins, 24 hours") == {"good": 1, "failed": 0}

    def test_a_day_is_brasilias(self) -> None:
        late = datetime(2026, 3, 5, 2, tzinfo=UTC)  # 23:00 of the day before, in Brasília
        with mock.patch("django.utils.timezone.now", return_value=late + timedelta(hours=2)):
            api_key = self.key("Night", expires_at=None)
            ApiKeyUsage.objects.add("night", [HourOfUse(api_key.pk, late, 7, 0, 0)])
            with timezone.override("America/Sao_Paulo"):
                days = figures.days_of_key(api_key)
        assert {day.isoformat(): counts[0] for day, counts in days.items()} == {"2026-03-04": 7}

    def test_the_busiest_key_stands_first(self) -> None:
        for name, count in (("Quiet", 1), ("Busy", 90), ("Middling", 20)):
            self.use(self.key(name), 1, count, 0, 0)
        assert [(key.name, n) for key, n in figures.busiest()] == [
            ("Busy", 90),
            ("Middling", 20),
            ("Quiet", 1),
        ]

    def test_keys_to_look_at_are_found_and_dead_ones_are_not_among_them(self) -> None:
        now = timezone.now()
        self.key("Fine", last_used_at=now)
        self.key("Never")
        self.key("Idle", last_used_at=now - timedelta(days=91))
        self.key("Soon", last_used_at=now, expires_at=now + timedelta(days=29))
        self.key("Older", last_used_at=now, pepper_id="gone")
        for dead in ("Dead never", "Dead idle"):
            self.key(dead, revoked_at=now, pepper_id="gone")
        self.key("Expired", created_at=now - LONG_AGO, expires_at=now - timedelta(days=1))
        shown = {
            use: set(re.findall(r"(Fine|Never|Idle|Soon|Older|Dead \w+|Expired)", rows))
            for use in ("never", "idle", "expiring", "pepper")
            for rows in [self.rows(use)]
        }
        assert shown == {
            "never": {"Never"},
            "idle": {"Idle"},
            "expiring": {"Soon"},
            "pepper": {"Older"},
        }
        tiles = self.client.get("/admin/").context["attention"]
        assert [tile["count"] for tile in tiles] == ["1", "1", "1", "1"]

    def rows(self, use: str) -> str:
        page = self.look("authn/apikey/", use=use)
        return page[page.index("result_list") :] if "result_list" in page else ""

    def test_sessions_ended_for_reuse_are_told(self) -> None:
        AuditEvent.objects.create(kind=Kind.SESSION_REUSE_DETECTED, object_id="ses_stolen")
        assert "ses_stolen" in self.look("")

    def test_health_is_told(self) -> None:
        page = self.look("")
        assert page.count("does not answer") == 0
        with (
            mock.patch.object(figures, "_database_answers", return_value=False),
            mock.patch("fluxiq.counters.EmbeddedCounters.get", side_effect=sqlite3.Error),
            mock.patch("fluxiq.counters.SharedCounters.get", side_effect=sqlite3.Error),
        ):
            assert self.look("").count("does not answer") == 2

    def test_a_database_that_is_away_does_not_answer(self) -> None:
        with mock.patch.object(connection, "cursor", side_effect=OperationalError):
            assert figures._database_answers() is False
        assert figures._database_answers() is True

    def test_it_costs_as_many_queries_for_many_keys_as_for_few(self) -> None:
        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                self.look("")
            return len(captured)

        self.use(self.key("One", last_used_at=timezone.now()), 1, 5, 0, 0)
        self.look("")
        few = queries()
        for number in range(5):
            self.use(self.key(f"More {number}"), 1, number + 1, 0, 0)
        assert queries() == few


class PanelTests(ConsoleTestCase):
    def test_a_merchants_page_shows_its_keys_accounts_and_events_and_no_others(self) -> None:
        issue_key(self.bakery, name="Ours")
        issue_key(self.bookshop, name="Theirs")
        self.enter(self.root)
        page = self.look(f"merchants/merchant/{self.bakery.pk}/change/")
        for text in ("Ours", "Till", "api_key.issued", "fx-spark"):
            assert text in page
        for text in ("Theirs", "Shelf"):
            assert text not in page

    def test_each_panel_is_shown_to_who_may_see_what_is_in_it(self) -> None:
        issue_key(self.bakery, name="Ours")
        self.enter(self.sam, "merchants.view_merchant")
        page = self.look(f"merchants/merchant/{self.bakery.pk}/change/")
        for text in ("Ours", "Till", "api_key.issued"):
            assert text not in page

    def test_a_persons_page_shows_their_sessions_and_ends_them_all(self) -> None:
        tokens = [self.sign_in(self.olga), self.sign_in(self.olga)]
        self.enter(self.root)
        path = f"accounts/user/{self.olga.pk}/"
        assert "127.0.0.1" in self.look(path + "change/")
        assert "Padaria Aurora" in self.look(path + "change/")
        self.look(path + "end-sessions/")
        assert Session.objects.live().filter(user=self.olga).count() == 2
        self.send(path + "end-sessions/", confirmed="yes")
        for pair in tokens:
            self.assert_unauthorized(self.get("/auth/me", pair.access_token))
        assert User.objects.get(pk=self.olga.pk).is_active

    def test_whoever_is_deactivated_has_no_sessions_to_end(self) -> None:
        self.enter(self.root)
        path = f"accounts/user/{self.olga.pk}/change/"
        assert "/end-sessions/" in self.look(path)
        self.olga.deactivate("left")
        assert "/end-sessions/" not in self.look(path)

    def test_a_keys_page_shows_its_use(self) -> None:
        api_key, _secret = issue_key(self.bakery)
        other, _secret = issue_key(self.bakery)
        hour = timezone.now().replace(minute=0, second=0, microsecond=0)
        ApiKeyUsage.objects.add(
            "use", [HourOfUse(api_key.pk, hour, 12, 0, 0), HourOfUse(other.pk, hour, 99, 0, 0)]
        )
        self.enter(self.root)
        page = self.look(f"authn/apikey/{api_key.pk}/change/")
        assert "admitted <strong>12</strong>" in page


class TestCharts:
    def test_the_scale_ends_at_a_round_number_not_below_any_bar(self) -> None:
        for count, top in ((0, 4), (1, 4), (4, 4), (5, 5), (11, 20), (21, 25), (99, 100)):
            assert round_up(count) == top
        assert round_up(101) == 200
        assert round_up(1_000_001) == 2_000_000

    def test_bars_stack_to_their_sum_and_a_negative_count_draws_nothing(self) -> None:
        chart = Chart(
            "t", ["a", "b"], [Series("x", "admitted", [3, -2]), Series("y", "refused", [1, 4])]
        )
        first, second = chart.bars
        assert [(p.top, p.height) for p in first.parts] == [(25.0, 75.0), (0.0, 25.0)]
        assert [(p.top, p.height) for p in second.parts] == [(0.0, 100.0)]
        assert first.says == "a: x 3, y 1"

    def test_a_sparkline_says_what_it_shows_and_escapes_it(self) -> None:
        drawn = sparkline([0, 2, 4], '<b>"4"</b>')
        assert "<b>" not in drawn
        assert drawn.count("V24Z") == 2
