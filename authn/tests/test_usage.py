"""The use of API keys: what counts as what, when it was last, and how it comes to the database."""

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import IntegrityError, OperationalError, connection
from django.test import SimpleTestCase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authn import usage
from authn.models import ApiKey, ApiKeyUsage, MovedBatch
from authn.models.api_key import bucket_of
from authn.models.usage import ApiKeyUsageManager, HourOfUse
from authn.tests.commands import CommandTestCase
from authn.usage import Moved, Mover, Use
from fluxiq import counters
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.errors import Unauthorized
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.engines import PROJECT
from fluxiq.tests.factories import issue_key

NOON = datetime(2026, 2, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def counted(api_key: ApiKey) -> list[tuple[int, int, int]]:
    """What the database counts: (admitted, refused, limited) by hour, oldest first."""
    return list(api_key.usage.values_list("admitted", "refused", "limited"))


class UsageTestCase(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api_key, self.secret = issue_key(self.bakery)

    def use(self, *paths: str, times: int = 1, **extra: Any) -> list[int]:
        """Ask with the key, and return the statuses."""
        return [
            self.get(path, self.secret, **extra).status_code for path in paths for _ in range(times)
        ]

    def counted(self) -> list[tuple[int, int, int]]:
        """What the database counts for the key, once all is moved."""
        usage.flush()
        return counted(self.api_key)


class CountingTests(UsageTestCase):
    def test_what_is_neither_refused_nor_limited_is_admitted(self) -> None:
        paths = ("/accounts", "/nowhere", "/accounts?limit=x", "/accounts/nonsense")
        assert self.use(*paths) == [200, 404, 400, 404]
        assert self.counted() == [(4, 0, 0)]

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
            use = Use(self.api_key.id, bucket_of(self.secret))
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


class MovingTests(UsageTestCase):
    def test_nothing_is_lost_while_the_database_is_away(self) -> None:
        self.use("/auth/me", times=2)
        gone = OperationalError("gone away")
        with (
            mock.patch.object(ApiKeyUsageManager, "add", side_effect=gone),
            pytest.raises(OperationalError),
        ):
            usage.flush()
        self.use("/auth/me", "/users")
        assert self.counted() == [(3, 1, 0)]

    def test_a_flush_that_dies_once_it_committed_adds_nothing_twice(self) -> None:
        self.use("/auth/me", times=2)
        with (
            mock.patch("authn.models.last_use.note", side_effect=KeyError("killed")),
            pytest.raises(KeyError),
        ):
            usage.flush()
        assert counted(self.api_key) == [(2, 0, 0)]
        assert not ApiKey.objects.filter(last_used_at__isnull=False).exists()
        assert usage.flush() == Moved(0, 0)
        assert counted(self.api_key) == [(2, 0, 0)]
        assert ApiKey.objects.filter(last_used_at__isnull=False).exists()
        self.use("/auth/me")
        assert self.counted() == [(3, 0, 0)]

    def test_who_gets_a_batch_that_another_adds_leaves_it_to_them(self) -> None:
        rows = [HourOfUse(self.api_key.id, NOON, 1, 2, 3)]
        assert [ApiKeyUsage.objects.add("batch", rows) for _ in range(2)] == [True, False]
        assert counted(self.api_key) == [(1, 2, 3)]

    def test_a_batch_is_added_whole_or_not_at_all(self) -> None:
        rows = [
            HourOfUse(self.api_key.id, NOON, 1, 0, 0),
            HourOfUse(self.api_key.id, NOON + HOUR, None, 0, 0),  # type: ignore[arg-type]
        ]
        with pytest.raises(IntegrityError):
            ApiKeyUsage.objects.add("batch", rows)
        assert not ApiKeyUsage.objects.exists()
        assert not MovedBatch.objects.exists()

    def test_counts_of_a_key_that_is_gone_are_in_nobodys_way(self) -> None:
        gone, secret = issue_key(self.bakery)
        self.get("/auth/me", secret)
        gone.delete()
        self.use("/auth/me")
        assert self.counted() == [(1, 0, 0)]
        assert ApiKeyUsage.objects.count() == 1

    def test_one_flush_writes_two_rows_for_a_busy_key(self) -> None:
        for path in ("/auth/me", "/users"):
            self.use(path, times=20)
        self.api_key.revoke()
        self.use("/auth/me")
        writes: list[str] = []

        def note(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
            if "authn_apikey" in sql and not sql.lstrip().startswith("SELECT"):
                writes.extend([sql] * (len(parameters) if many else 1))
            return execute(sql, parameters, many, context)

        with connection.execute_wrapper(note):
            usage.flush()
        assert len(writes) == 2, writes

    def test_of_all_workers_one_moves_in_a_minute(self) -> None:
        with mock.patch("authn.usage.time.time", return_value=NOON.timestamp() + 0.1):
            self.use("/auth/me")
            assert usage.flush_once_a_minute() == Moved(1, 1)
            self.use("/auth/me")
            assert [usage.flush_once_a_minute() for _ in range(4)] == [Moved()] * 4
        with mock.patch("authn.usage.time.time", return_value=NOON.timestamp() + 60):
            assert usage.flush_once_a_minute() == Moved(1, 1)
        assert counted(self.api_key) == [(2, 0, 0)]

    def test_a_flush_without_use_writes_nothing(self) -> None:
        with CaptureQueriesContext(connection) as queries:
            assert usage.flush() == Moved(0, 0)
        assert len(queries) == 0


FORK = """
import os, django
django.setup()
from authn import usage
usage._mover.start()
child = os.fork()
if not child:
    unstarted = usage._mover._thread is None and not usage._mover._lock.locked()
    usage._mover.start()
    os._exit(0 if unstarted and usage._mover._thread.is_alive() else 1)
print(os.waitpid(child, 0)[1])
"""


class MoverTests(SimpleTestCase):
    def run_mover(self, error: Exception | None = None) -> tuple[int, int]:
        """Run one a few times: how often it moved as a minute began, and as the process ended."""
        moved_thrice = threading.Event()

        def move() -> Moved:
            if each_minute.call_count == 3:
                moved_thrice.set()
            if error is not None:
                raise error
            return Moved()

        mover = Mover()
        with (
            mock.patch("authn.usage.flush_once_a_minute", side_effect=move) as each_minute,
            mock.patch("authn.usage.flush") as at_the_end,
            mock.patch("authn.usage.time.time", return_value=NOON.timestamp() - 0.001),
            mock.patch("authn.usage.atexit.register") as at_exit,
        ):
            for _ in range(3):
                mover.start()
            assert moved_thrice.wait(10)
            ((stop,), _) = at_exit.call_args
            stop()
        assert at_exit.call_count == 1
        return each_minute.call_count, at_the_end.call_count

    def test_it_moves_as_minutes_begin_and_once_more_as_the_process_ends(self) -> None:
        each_minute, at_the_end = self.run_mover()
        assert each_minute >= 3
        assert at_the_end == 1

    def test_it_survives_whatever_fails(self) -> None:
        with self.assertLogs("authn.usage", "ERROR"):
            each_minute, at_the_end = self.run_mover(KeyError("whatever"))
        assert each_minute >= 3
        assert at_the_end == 1

    def test_a_database_that_is_away_is_told_of_in_a_line(self) -> None:
        with self.assertLogs("authn.usage", "ERROR") as logged:
            self.run_mover(OperationalError("the server is away"))
        for record in logged.records:
            told = "the use of API keys was not moved: OperationalError: the server is away"
            assert (record.getMessage(), record.exc_info) == (told, None)

    def test_a_forked_child_has_one_of_its_own(self) -> None:
        command = [sys.executable, "-W", "ignore", "-c", FORK]
        forked = subprocess.run(
            command, cwd=PROJECT, check=True, capture_output=True, text=True, timeout=20
        )
        assert forked.stdout == "0\n"


class CommandTests(CommandTestCase):
    def test_it_moves_and_tells_how_much(self) -> None:
        api_key, secret = issue_key(self.bakery)
        self.get("/auth/me", secret)
        assert self.run_command("flush_usage")[0] == "Moved batches: 1, rows: 1.\n"
        assert self.result("flush_usage") == {"batches": 0, "rows": 0}
        assert counted(api_key) == [(1, 0, 0)]


class PastEndTests(UsageTestCase):
    def events(self) -> list[AuditEvent]:
        """What the trail tells of uses past an end."""
        return list(AuditEvent.objects.filter(kind=Kind.API_KEY_USED_PAST_END))

    def test_the_use_of_a_revoked_key_is_audited_once_an_hour(self) -> None:
        self.api_key.revoke("leaked")
        with self.at(NOON + timedelta(days=9999)):
            self.use("/accounts", "/users", "/nowhere", "/openapi.json", REMOTE_ADDR="203.0.113.5")
        (event,) = self.events()
        assert (event.object_id, event.merchant_id) == (self.api_key.id, self.bakery.id)
        assert (event.actor_kind, event.actor_id) == ("api_key", self.api_key.id)
        assert event.address == "203.0.113.5"
        assert self.api_key.revoked_at is not None
        assert event.after == {
            "expires_at": None,
            "revoked_at": self.api_key.revoked_at.isoformat(),
        }
        assert self.secret not in repr(event.__dict__)
        with self.at(NOON + timedelta(days=9999) + HOUR):
            self.use("/accounts", times=2)
        assert len(self.events()) == 2

    def test_so_is_that_of_an_expired_key_and_of_one_past_its_grace(self) -> None:
        self.api_key.change({"expires_at": timezone.now() + HOUR})
        rotated, secret = issue_key(self.bakery)
        rotated.rotate(HOUR)
        with self.at(timezone.now() + HOUR):
            self.use("/accounts")
            self.assert_unauthorized(self.get("/accounts", secret))
        assert {event.object_id for event in self.events()} == {self.api_key.id, rotated.id}

    def test_a_live_key_that_is_refused_is_not_past_its_end(self) -> None:
        self.api_key.change({"allowed_ips": ["203.0.113.0/24"]})
        self.use("/accounts")
        self.api_key.change({"allowed_ips": []})
        self.bakery.suspend()
        self.use("/accounts")
        self.bakery.resume()
        self.use("/users")
        rotated, secret = issue_key(self.bakery)
        rotated.rotate(HOUR)
        self.get("/accounts", secret)
        assert self.events() == []

    def test_the_answer_does_not_tell_a_dead_key_from_an_unknown_one(self) -> None:
        self.api_key.revoke()
        self.assert_unauthorized(self.get("/accounts", self.secret))
