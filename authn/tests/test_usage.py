"""The use of API keys: what counts as what, and when it was last."""

import sqlite3
from datetime import datetime, timedelta
from unittest import mock

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authn import usage
from authn.models import ApiKey, ApiKeyUsage
from authn.tests.commands import CommandTestCase
from authn.tests.usage import HOUR, NOON, UsageTestCase, counted
from authn.usage import Moved, Use
from fluxiq import counters
from fluxiq.errors import Unauthorized
from fluxiq.tests.factories import issue_key


class CountingTests(UsageTestCase):
    def test_what_is_neither_refused_nor_limited_is_admitted(self) -> None:
        paths = ("/accounts", "/nowhere", "/accounts?limit=x", "/accounts/nonsense")
        assert self.use(*paths) == [200, 404, 400, 404]
        assert self.counted() == [(4, 0, 0)]

    def test_a_use_that_cannot_be_tallied_is_logged_and_passes(self) -> None:
        full = sqlite3.OperationalError("database or disk is full")
        with (
            mock.patch.object(type(counters.of_requests()), "tally", side_effect=full),
            self.assertLogs("authn.usage", "ERROR") as logged,
        ):
            Use(self.api_key.id).admit("203.0.113.5")
        assert logged.records[0].getMessage() == (
            f"a use of {self.api_key.id} was not tallied: database or disk is full"
        )

    def test_a_403_is_refused(self) -> None:
        assert self.use("/users", "/auth/verify?permission=pix:write", "/auth/me") == [
            403,
            403,
            200,
        ]
        assert self.counted() == [(1, 2, 0)]

    def test_a_429_of_the_keys_own_limit_is_limited(self) -> None:
        with self.settings(RATE_LIMIT_API_KEY=(3, 60)):
            assert self.use("/accounts", times=5) == [200, 200, 200, 429, 429]
        assert self.counted() == [(3, 0, 2)]

    def test_a_known_key_that_does_not_serve_is_refused(self) -> None:
        self.bakery.suspend()
        assert self.use("/accounts") == [401]
        self.bakery.resume()
        self.api_key.change({"allowed_ips": ["203.0.113.0/24"]})
        assert self.use("/accounts") == [401]
        self.api_key.change({"allowed_ips": []})
        assert self.use("/accounts") == [200]
        self.api_key.change({"expires_at": timezone.now() + HOUR})
        with self.at(timezone.now() + HOUR):
            assert self.use("/accounts") == [401]
        self.api_key.revoke()
        assert self.use("/accounts") == [401]
        assert sum(refused for _, refused, _ in self.counted()) == 4
        assert sum(admitted for admitted, _, _ in self.counted()) == 1

    def test_a_dead_key_past_the_limit_of_its_address_is_limited(self) -> None:
        self.api_key.revoke()
        with self.settings(RATE_LIMIT_ANONYMOUS=(2, 60)):
            assert self.use("/accounts", times=3) == [401, 401, 429]
        assert self.counted() == [(0, 2, 1)]

    def test_a_dead_key_where_none_is_needed_counts_for_nobody(self) -> None:
        self.api_key.revoke()
        assert self.use("/openapi.json", "/nowhere") == [200, 404]
        assert self.counted() == []

    def test_a_401_that_the_view_answers_a_live_key_is_refused_and_not_admitted(self) -> None:
        with mock.patch("merchants.views.AccountListView.get", side_effect=Unauthorized):
            assert self.use("/accounts") == [401]
        assert self.counted() == [(0, 1, 0)]

    def test_unknown_keys_people_and_nobody_count_for_nobody(self) -> None:
        unknown = self.secret[:-6] + "000000"
        for caller in (unknown, self.olga, None):
            self.get("/accounts", caller)
        self.post("/auth/login", self.secret, {"document": "1", "password": "x"})
        assert usage.flush() == Moved(0, 0)
        assert not ApiKeyUsage.objects.exists()

    def test_a_preflight_counts_for_nobody(self) -> None:
        headers = {"HTTP_ORIGIN": "https://x.example", "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "GET"}
        self.call("OPTIONS", "/accounts", self.secret, **headers)
        assert self.counted() == []

    def test_a_service_key_counts_too(self) -> None:
        self.api_key, self.secret = ApiKey.objects.issue_service_key(name="Ledger")
        self.use("/auth/me", "/accounts")
        assert self.counted() == [(1, 1, 0)]

    def test_each_hour_counts_for_itself_in_utc(self) -> None:
        for minutes, times in ((-1, 1), (0, 2), (59, 3), (60, 4)):
            with self.at(NOON + timedelta(minutes=minutes)):
                self.use("/auth/me", times=times)
        assert self.counted() == [(1, 0, 0), (5, 0, 0), (4, 0, 0)]
        hours = [row.hour for row in ApiKeyUsage.objects.all()]
        assert hours == [NOON - HOUR, NOON, NOON + HOUR]

    def test_each_key_counts_for_itself(self) -> None:
        other, secret = issue_key(self.bakery)
        self.use("/auth/me", times=2)
        self.get("/auth/me", secret)
        assert (self.counted(), counted(other)) == ([(2, 0, 0)], [(1, 0, 0)])

    def test_later_requests_add_to_the_hour(self) -> None:
        with self.at(NOON):
            self.use("/auth/me", "/users", times=2)
            assert self.counted() == [(2, 2, 0)]
            self.use("/auth/me", "/users")
            assert self.counted() == [(3, 3, 0)]

    def test_a_refusal_that_is_moved_apart_from_its_request_is_one_request(self) -> None:
        with self.at(NOON - timedelta(seconds=1)):
            use = Use(self.api_key.id)
            use.admit("203.0.113.5")
            counters.of_requests().get("anything")  # it goes along with what is asked next
        assert self.counted() == [(1, 0, 0)]
        with self.at(NOON):
            use.end(403)
        assert self.counted() == [(0, 1, 0)]

    def test_a_request_writes_nothing_to_the_database(self) -> None:
        dead, dead_secret = issue_key(self.bakery)
        dead.revoke()
        self.get("/accounts", dead_secret)  # the one of this hour that is audited
        with (
            CaptureQueriesContext(connection) as queries,
            self.settings(RATE_LIMIT_API_KEY=(3, 60)),
        ):
            assert self.use("/accounts", "/users", "/auth/me", "/auth/me") == [200, 403, 200, 429]
            self.get("/accounts", dead_secret)
        assert all(query["sql"].startswith("SELECT") for query in queries), queries.captured_queries


class LastUseTests(UsageTestCase):
    def last_use(self) -> tuple[datetime | None, str]:
        """When and whence the key was last used, once all is moved."""
        usage.flush()
        self.api_key.refresh_from_db()
        return self.api_key.last_used_at, self.api_key.last_used_address

    def test_it_is_exact_after_a_flush(self) -> None:
        before = timezone.now()
        self.use("/auth/me", REMOTE_ADDR="203.0.113.5")
        at, address = self.last_use()
        assert at is not None
        assert before <= at <= timezone.now()
        assert address == "203.0.113.5"

    def test_the_latest_of_the_uses_that_wait_together_is_noted(self) -> None:
        for minutes, path in ((1, "/auth/me"), (3, "/users"), (2, "/accounts")):
            with self.at(NOON + timedelta(minutes=minutes)):
                self.use(path, REMOTE_ADDR=f"203.0.113.{minutes}")
        assert self.last_use() == (NOON + timedelta(minutes=3), "203.0.113.3")

    def test_the_latest_over_the_turn_of_an_hour_is_noted(self) -> None:
        for minutes in (10, -10):
            with self.at(NOON + timedelta(minutes=minutes)):
                self.use("/auth/me", REMOTE_ADDR=f"203.0.113.{100 + minutes}")
        assert self.last_use() == (NOON + timedelta(minutes=10), "203.0.113.110")

    def test_it_is_exact_to_the_microsecond_and_never_moves_backwards(self) -> None:
        latest = NOON.replace(microsecond=123457)
        for at in (latest, latest - timedelta(microseconds=1)):
            with self.at(at):
                self.use("/auth/me")
            assert self.last_use()[0] == latest

    def test_a_limited_request_of_a_live_key_is_a_use(self) -> None:
        with self.settings(RATE_LIMIT_API_KEY=(1, 60)), self.at(NOON):
            self.use("/auth/me")
        with self.settings(RATE_LIMIT_API_KEY=(1, 60)), self.at(NOON + HOUR):
            assert self.use("/auth/me") == [429]
        assert self.last_use()[0] == NOON + HOUR

    def test_a_refused_dead_key_is_no_use(self) -> None:
        self.api_key.revoke()
        self.use("/auth/me")
        assert self.last_use() == (None, "")

    def test_a_flush_touches_no_other_column_of_the_key(self) -> None:
        self.use("/auth/me")
        ApiKey.objects.filter(pk=self.api_key.pk).update(name="Renamed meanwhile")
        self.api_key.revoke()
        self.last_use()
        assert (self.api_key.name, self.api_key.is_live) == ("Renamed meanwhile", False)

    def test_the_api_shows_it(self) -> None:
        with self.at(NOON):
            self.use("/auth/me")
        usage.flush()
        shown = self.data(
            self.get(f"/merchants/{self.bakery.id}/api-keys/{self.api_key.id}", self.olga)
        )
        assert shown["last_used_at"] == "2026-02-03T12:00:00Z"


class CommandTests(CommandTestCase):
    def test_it_moves_and_tells_how_much(self) -> None:
        api_key, secret = issue_key(self.bakery)
        self.get("/auth/me", secret)
        assert self.run_command("flush_usage")[0] == "Moved batches: 1, rows: 1.\n"
        assert self.result("flush_usage") == {"batches": 0, "rows": 0}
        assert counted(api_key) == [(1, 0, 0)]
