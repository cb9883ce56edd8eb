"""`doctor`: each thing that can be wrong is found, said, and told how to mend."""

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from smtplib import SMTPConnectError
from types import SimpleNamespace
from typing import Any
from unittest import mock

from django.core.management import CommandError
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.test import override_settings
from django.utils import timezone

from authn import doctor
from authn.doctor import State
from authn.models import ApiKey
from authn.tests.commands import CommandTestCase
from fluxiq import counters, ids
from fluxiq.audit import sealing
from fluxiq.audit.models import AuditEvent, PendingEvent
from fluxiq.counters import SharedCounters
from fluxiq.counters.server import ServerAway
from fluxiq.tests.factories import enrol, issue_key

PEPPERS = "newer:a-pepper-of-the-tests-0123456789,older:another-pepper-of-the-tests-0123456789"
MFA_KEYS = f"newer:{'n' * 32},older:{'o' * 32}"


class DoctorTests(CommandTestCase):
    def found(self, topic: str) -> list[tuple[str, str, str]]:
        """What is said of a topic: (state, text, hint)."""
        return [(f.state, f.text, f.hint) for f in doctor.examine() if f.topic == topic]

    def worst(self, topic: str) -> tuple[str, str]:
        """The text and hint of the one thing that is wrong with a topic."""
        ((_, text, hint),) = [f for f in self.found(topic) if f[0] is State.ERROR]
        return text, hint

    def ended(self) -> CommandError:
        """What a run ends with that found something wrong."""
        try:
            self.run_command("doctor")
        except CommandError as error:
            return error
        raise AssertionError("it found nothing wrong")

    def test_what_is_whole_is_healthy_and_everything_was_looked_at(self) -> None:
        told = self.result("doctor")
        assert told["healthy"], told
        topics = {finding["topic"] for finding in told["findings"]}
        counting = "Valkey" if isinstance(counters.of_requests(), SharedCounters) else "counters"
        assert topics >= {
            *("configuration", "database", "migrations", counting, "signing keys"),
            *("peppers", "MFA keys", "audit trail", "disk", "mail"),
        }
        assert not [f for f in told["findings"] if f["state"] == "error"]

    def test_it_changes_nothing(self) -> None:
        before = (AuditEvent.objects.count(), PendingEvent.objects.count())
        self.run_command("doctor")
        assert (AuditEvent.objects.count(), PendingEvent.objects.count()) == before

    def test_what_is_wrong_ends_it_with_1_and_is_told_with_what_mends_it(self) -> None:
        with override_settings(API_KEY_PEPPERS="p1:short"):
            assert "API_KEY_PEPPERS" in self.worst("configuration")[0]
            error = self.ended()
        assert error.returncode == 1
        assert str(error).startswith("1 wrong: configuration: API_KEY_PEPPERS")

    def test_each_ring_that_cannot_be_used_is_told_once_and_stops_nothing_else(self) -> None:
        for name in ("JWT_SIGNING_KEYS", "API_KEY_PEPPERS", "AUDIT_KEYS", "MFA_KEYS"):
            with self.subTest(name), override_settings(**{name: "p1:short"}):
                assert name in self.worst("configuration")[0]
                assert self.found("disk")

    def test_a_pepper_that_live_keys_need_and_that_is_gone_is_told(self) -> None:
        api_key, _ = issue_key(self.bakery)
        ApiKey.objects.filter(pk=api_key.pk).update(pepper_id="gone")
        text, hint = self.worst("configuration")
        assert text.startswith("1 live API keys stand under the pepper gone")
        assert "Put gone back" in hint

    def test_older_peppers_are_told_as_needed_or_free_to_go(self) -> None:
        with override_settings(API_KEY_PEPPERS=PEPPERS):
            api_key, _ = issue_key(self.bakery)
            told = [f[1:] for f in self.found("peppers")]
            assert ("older is needed no more", "It can be taken out of API_KEY_PEPPERS.") in told
            ApiKey.objects.filter(pk=api_key.pk).update(pepper_id="older")
            texts = [f[1] for f in self.found("peppers")]
            assert "older is still needed: 1 live keys under it" in texts

    def test_older_keys_of_second_factors_are_told_as_needed(self) -> None:
        with override_settings(MFA_KEYS=MFA_KEYS.split(",")[1]):
            enrol(self.olga)
        with override_settings(MFA_KEYS=MFA_KEYS):
            texts = [f[1] for f in self.found("MFA keys")]
        assert "older is still needed: 1 second factors under it" in texts

    def test_a_database_that_is_away_is_told_and_the_rest_is_looked_at(self) -> None:
        with mock.patch.object(connection, "ensure_connection", side_effect=OperationalError("no")):
            text, hint = self.worst("database")
            assert self.found("disk")
            assert not self.found("audit trail")
        assert text == "it cannot be used: no"
        assert "DATABASE_URL" in hint

    def test_migrations_that_are_missing_are_named(self) -> None:
        missing = [(SimpleNamespace(app_label="authn", name=f"000{n}"), False) for n in range(7)]
        with mock.patch.object(MigrationExecutor, "migration_plan", return_value=missing):
            text, hint = self.worst("migrations")
            assert not self.found("peppers")
        assert text == (
            "not applied: authn.0000, authn.0001, authn.0002, authn.0003, authn.0004 and 2 more"
        )
        assert hint == "Run: python manage.py migrate"

    def test_a_database_that_is_newer_than_the_code_is_told(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO django_migrations (app, name, applied) VALUES ('authn', '9999_x', %s)",
                [connection.ops.adapt_datetimefield_value(timezone.now())],
            )
        ((state, text, _),) = self.found("migrations")
        assert (state, "authn.9999_x" in text) == (State.WARNING, True)

    def test_a_counter_server_that_is_away_is_told(self) -> None:
        def away() -> float:
            raise ServerAway

        with self.counting_by(away):
            text, hint = self.worst("Valkey")
        assert text == "it does not answer"
        assert "REDIS_URL" in hint

    @contextlib.contextmanager
    def counting_by(self, ask: Any) -> Iterator[None]:
        """With counters in a server whose clock that is."""
        server = mock.Mock(spec=SharedCounters, time=ask)
        with mock.patch.object(counters, "of_requests", return_value=server):
            yield

    def test_clocks_that_are_apart_are_told_by_how_much(self) -> None:
        for apart, state in ((0, State.OK), (-3, State.WARNING), (3, State.WARNING), (60, "error")):
            with self.subTest(apart):
                now = timezone.now().timestamp()
                with self.counting_by(lambda at=now + apart: at):
                    states = [f[0] for f in self.found("clock") if f[1].startswith("Valkey")]
                assert states == [state]

    def test_the_databases_clock_is_asked_where_it_has_its_own(self) -> None:
        asked = bool([f for f in self.found("clock") if f[1].startswith("database")])
        assert asked == (connection.vendor == "postgresql")
        with mock.patch.object(doctor, "database_time", return_value=0.0):
            assert "NTP" in self.worst("clock")[1]

    def test_a_machine_that_cannot_count_is_told(self) -> None:
        used = mock.Mock(get=mock.Mock(side_effect=sqlite3.OperationalError("read-only")))
        with mock.patch.object(counters, "of_requests", return_value=used):
            text, hint = self.worst("counters")
        assert "read-only" in text
        assert "COUNTERS_PATH" in hint

    def test_events_that_wait_for_long_are_told(self) -> None:
        sealing.seal()
        assert self.found("audit trail") == [(State.OK, "every event is sealed", "")]
        issue_key(self.bakery)
        assert {f[0] for f in self.found("audit trail")} == {State.OK}
        old = timezone.now() - timedelta(hours=1)
        PendingEvent.objects.create(event_id=ids.new(ids.Prefix.EVENT, old))
        ((state, text, hint),) = self.found("audit trail")
        assert (state, "of 3600 s ago" in text) == (State.WARNING, True)
        assert "seal_audit_log" in hint

    def test_an_audit_key_that_is_gone_is_told(self) -> None:
        issue_key(self.bakery)
        with override_settings(AUDIT_KEYS=f"first:{'a' * 32}"):
            sealing.seal()
        text, hint = self.worst("audit trail")
        assert text == "the chain has seals under first, which is gone"
        assert "Put first back" in hint

    def test_a_disk_that_runs_full_is_told(self) -> None:
        for free, state in ((500, State.OK), (90, State.WARNING), (10, State.ERROR)):
            usage = SimpleNamespace(total=1000, free=free)
            with self.subTest(free), mock.patch("shutil.disk_usage", return_value=usage):
                assert {f[0] for f in self.found("disk")} == {state}
        with mock.patch("shutil.disk_usage", side_effect=FileNotFoundError("no folder")):
            assert "no folder" in self.found("disk")[0][1]

    def test_a_mail_server_that_takes_none_is_told_and_one_that_does(self) -> None:
        smtp = {"EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend"}
        backend = "django.core.mail.backends.smtp.EmailBackend"
        with override_settings(**smtp):
            with mock.patch(f"{backend}.open", side_effect=SMTPConnectError(421, "busy")):
                assert "EMAIL_URL" in self.worst("mail")[1]
            with mock.patch(f"{backend}.open"):
                ((state, _, _),) = self.found("mail")
        assert state is State.OK

    def test_without_a_superuser_it_tells_how_to_make_one(self) -> None:
        ((state, _, hint),) = self.found("people") or [("", "", "")]
        assert not state or "create_user" in hint
        self.root.is_active = False
        self.root.save()
        ((state, _, hint),) = self.found("people")
        assert (state, "create_user" in hint) == (State.WARNING, True)

    def test_no_secret_is_told(self) -> None:
        ring = "k2:second-secret-of-the-tests-0123456789,k1:first-secret-of-the-tests-0123456789"
        with override_settings(JWT_SIGNING_KEYS=ring, API_KEY_PEPPERS=ring):
            stdout, stderr = self.run_command("doctor")
        assert "k2 signs, k1 verify" in stdout
        assert "secret-of-the-tests" not in stdout + stderr
