"""What happens often is one event a minute, with its count."""

from datetime import UTC, datetime, timedelta
from importlib import import_module
from threading import Thread
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from django.apps import apps
from django.db import connection

from fluxiq import origin
from fluxiq.audit import tallies
from fluxiq.audit.models import AuditEvent, Kind, Tally, TallyHour
from fluxiq.audit.tests.base import TrailTestCase
from fluxiq.origin import Origin

NOON = datetime(2026, 2, 3, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
migration = import_module("fluxiq.audit.migrations.0006_tally_hours")


class TallyTests(TrailTestCase):
    def at(self, moment: datetime) -> Any:
        return mock.patch("django.utils.timezone.now", return_value=moment)

    def count(self, times: int, moment: datetime = NOON, **subject: Any) -> None:
        """Count so often at that moment, as one process."""
        with self.at(moment), origin.working_as(Origin(address="203.0.113.7", user_agent="x")):
            for _ in range(times):
                tallies.count(Kind.SIGN_IN_FAILED, **subject)

    def told(self, moment: datetime) -> list[AuditEvent]:
        """All events there are once it is that moment."""
        with self.at(moment):
            tallies.tell()
        return list(AuditEvent.objects.filter(kind=Kind.SIGN_IN_FAILED).order_by("object_id"))

    def test_a_minute_is_one_event_for_each_subject(self) -> None:
        self.count(3, NOON, object_id="usr_a")
        self.count(4, NOON + 59 * SECOND, object_id="usr_a")
        self.count(2, NOON + 30 * SECOND, object_id="usr_b", merchant_id="mer_b")
        tallies.store()
        first, second = self.told(NOON + 75 * SECOND)
        assert (first.object_id, first.after, first.at) == ("usr_a", {"count": 7}, NOON)
        assert (first.actor_kind, first.actor_id, first.address) == (
            *tallies.ANYBODY,
            "203.0.113.7",
        )
        assert (second.after, second.merchant_id) == ({"count": 2}, "mer_b")
        assert not Tally.objects.exists()
        assert len(self.told(NOON + 500 * SECOND)) == 2

    def test_another_minute_is_another_event(self) -> None:
        self.count(1, NOON)
        self.count(1, NOON + 60 * SECOND)
        tallies.store()
        assert [event.at for event in self.told(NOON + 75 * SECOND)] == [NOON]
        assert len(self.told(NOON + 135 * SECOND)) == 2

    def test_nothing_is_told_before_every_process_had_time_to_store(self) -> None:
        self.count(1, NOON + 59 * SECOND)
        tallies.store()
        assert self.told(NOON + 69 * SECOND) == []
        assert len(self.told(NOON + 70 * SECOND)) == 1

    def test_what_several_processes_counted_is_added_up(self) -> None:
        for times in (1, 20, 300):
            self.count(times)
            assert tallies.store() == 1
            assert tallies.store() == 0
        (event,) = self.told(NOON + 75 * SECOND)
        assert event.after == {"count": 321}

    def test_what_could_not_be_stored_is_kept_and_added_to(self) -> None:
        self.count(2)
        with mock.patch.object(tallies, "_upsert", side_effect=RuntimeError):
            with pytest.raises(RuntimeError):
                tallies.store()
            self.count(3)
        tallies.store()
        (event,) = self.told(NOON + 75 * SECOND)
        assert event.after == {"count": 5}

    def test_no_count_of_many_threads_is_lost(self) -> None:
        threads = [Thread(target=self.count, args=(500,)) for _ in range(4)]
        with self.at(NOON):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        tallies.store()
        (event,) = self.told(NOON + 75 * SECOND)
        assert event.after == {"count": 2000}

    def test_the_events_are_as_old_as_their_minute_in_the_order_of_ids_too(self) -> None:
        self.count(1)
        tallies.store()
        (event,) = self.told(NOON + timedelta(hours=5))
        assert list(AuditEvent.objects.since(NOON).until(NOON + SECOND)) == [event]
        assert not AuditEvent.objects.filter(kind=event.kind).until(NOON).exists()
        assert not AuditEvent.objects.filter(kind=event.kind).since(NOON + SECOND).exists()

    def test_many_subjects_are_told_in_batches(self) -> None:
        for number in range(25):
            self.count(1, object_id=f"usr_{number}")
        tallies.store()
        with mock.patch.object(tallies, "BATCH", 10):
            assert len(self.told(NOON + 75 * SECOND)) == 25

    def hours(self) -> list[tuple[datetime, int]]:
        rows = TallyHour.objects.filter(kind=Kind.SIGN_IN_FAILED).order_by("hour")
        return list(rows.values_list("hour", "count"))

    def test_what_is_told_is_added_to_its_hour_whoever_it_was(self) -> None:
        for minute, who in ((0, "usr_a"), (0, "usr_b"), (59, "usr_a"), (60, "usr_a")):
            self.count(2, NOON + timedelta(minutes=minute), object_id=who)
        tallies.store()
        self.told(NOON + timedelta(minutes=3))
        assert self.hours() == [(NOON, 4)]
        self.told(NOON + timedelta(hours=2))
        assert self.hours() == [(NOON, 6), (NOON + timedelta(hours=1), 2)]

    def test_what_could_not_be_told_is_in_no_hour(self) -> None:
        self.count(2)
        tallies.store()
        with (
            mock.patch.object(tallies, "record", side_effect=RuntimeError),
            pytest.raises(RuntimeError),
        ):
            self.told(NOON + 75 * SECOND)
        assert self.hours() == []
        self.told(NOON + 75 * SECOND)
        assert self.hours() == [(NOON, 2)]

    def test_the_migration_adds_up_what_the_trail_holds_already(self) -> None:
        self.count(3)
        tallies.store()
        self.told(NOON + 75 * SECOND)
        before = self.hours()
        TallyHour.objects.all().delete()
        with self.at(NOON + timedelta(days=20)):
            migration.add_up(apps, SimpleNamespace(connection=connection))
        assert self.hours() == before == [(NOON, 3)]
