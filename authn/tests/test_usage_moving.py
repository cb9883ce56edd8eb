"""How the use of API keys comes to the database: moved once a minute, exactly once."""

import subprocess
import sys
import threading
from typing import Any
from unittest import mock

import pytest
from django.db import IntegrityError, OperationalError, connection
from django.test import SimpleTestCase, override_settings
from django.test.utils import CaptureQueriesContext

from authn import usage
from authn.models import ApiKey, ApiKeyUsage, MovedBatch
from authn.models.usage import ApiKeyUsageManager, HourOfUse
from authn.tests.usage import HOUR, NOON, UsageTestCase, counted
from authn.usage import Moved, Mover, Use
from fluxiq.tests.engines import PROJECT
from fluxiq.tests.factories import issue_key


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

    def test_one_that_never_began_has_nothing_to_move(self) -> None:
        with mock.patch("authn.usage.flush") as flush:
            Mover().stop()
        flush.assert_not_called()

    def test_the_first_use_begins_it_where_it_works_in_the_background(self) -> None:
        for in_background, begun in ((False, 0), (True, 1)):
            with (
                override_settings(USAGE_IN_BACKGROUND=in_background),
                mock.patch.object(usage._mover, "start") as start,
                mock.patch("authn.usage.counters.of_requests"),
            ):
                Use("key_1").admit("203.0.113.5")
            assert start.call_count == begun

    def test_it_survives_whatever_fails(self) -> None:
        with self.assertLogs("authn.usage", "ERROR"):
            each_minute, at_the_end = self.run_mover(KeyError("whatever"))
        assert each_minute >= 3
        assert at_the_end == 1

    def test_after_a_fork_the_parents_is_not_used(self) -> None:
        parents = usage._mover
        with mock.patch("authn.usage._mover", parents):
            usage._renew_mover()
            assert usage._mover is not parents
            assert not usage._mover.is_running

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
