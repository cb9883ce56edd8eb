"""What every command has in common, as a shell sees it."""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.core.management import CommandError, get_commands, load_command_class
from django.test import SimpleTestCase

from authn.tests.commands import CommandTestCase, manage
from fluxiq import commands
from fluxiq.audit.models import AuditEvent
from fluxiq.tests.engines import PROJECT

PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "fluxiq.settings.production",
    "SECRET_KEY": "secret-key-of-the-tests-alone-0123456789-0123456789",
    "JWT_SIGNING_KEYS": "k1:signing-key-of-the-tests-alone-0123456789",
    "API_KEY_PEPPERS": "p1:pepper-of-the-tests-alone-0123456789",
    "AUDIT_KEYS": "a1:audit-key-of-the-tests-alone-0123456789",
    "MFA_KEYS": "m1:sealing-key-of-the-tests-alone-0123456789",
    "ALLOWED_HOSTS": "auth.example.com",
}


@pytest.mark.once
class CommandLineTests(SimpleTestCase):
    """Real processes, on a database of their own."""

    environment: ClassVar[dict[str, str]]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        directory = tempfile.TemporaryDirectory(prefix="fluxiq-commands-")
        cls.addClassCleanup(directory.cleanup)
        cls.environment = {
            "DJANGO_SETTINGS_MODULE": "fluxiq.settings.test",
            "TEST_DATABASE_URL": f"sqlite:///{Path(directory.name) / 'db.sqlite3'}",
        }
        migrated = manage("migrate", "--verbosity", "0", environment=cls.environment)
        assert migrated.returncode == 0, migrated.stderr

    def manage(self, *arguments: str, stdin: str = "", **environment: str) -> Any:
        """Run a command."""
        return manage(*arguments, stdin=stdin, environment={**self.environment, **environment})

    def assert_refused(self, ended: Any, reason: str) -> None:
        """One line on stderr, nothing on stdout, and an exit code that says no."""
        assert ended.returncode in (1, 2), ended
        assert ended.stdout == ""
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
        assert reason in ended.stderr

    def test_a_merchant_an_owner_and_a_key_are_made_by_a_script(self) -> None:
        made = self.manage("create_merchant", "Bar", "--document", "12345678000195", "--json")
        merchant_id = json.loads(made.stdout)["id"]
        user = self.manage(
            *("create_user", "55566677788", "--name", "Nina", "--password-stdin", "--json"),
            *("--merchant", merchant_id, "--role", "owner"),
            stdin=" twelve or more ",
        )
        assert json.loads(user.stdout)["id"].startswith("usr_"), user.stderr
        issued = self.manage(
            "issue_api_key", merchant_id, "--name", "Till", "--permission", "pix:read"
        )
        assert issued.returncode == 0
        assert len(issued.stdout.splitlines()) == 1
        assert issued.stdout.startswith("sk_live_")
        assert issued.stdout.strip() not in issued.stderr

        again = self.manage("create_merchant", "Bar", "--document", "12345678000195", "--json")
        self.assert_refused(again, "A merchant with this document exists already")

    def test_wrong_arguments_are_one_line_and_no_screen_of_usage(self) -> None:
        for arguments, reason in (
            (("create_merchant",), "required: NAME, --document"),
            (("create_merchant", "Bar", "--doc", "12345678000195"), "required: --document"),
            (("list_api_keys", "--nonsense", "--json"), "unrecognized arguments: --nonsense"),
        ):
            with self.subTest(arguments):
                ended = self.manage(*arguments)
                self.assert_refused(ended, reason)
                assert ended.returncode == 2

    def test_a_password_is_not_asked_for_without_a_terminal(self) -> None:
        ended = self.manage("create_user", "55566677700", "--name", "Nobody")
        self.assert_refused(ended, "--password-stdin")

    def test_a_database_that_is_away_is_one_line(self) -> None:
        for url in ("postgres://fluxiq:hidden@127.0.0.1:1/fluxiq", "sqlite:////nowhere/db.sqlite3"):
            with self.subTest(url):
                ended = self.manage("list_api_keys", TEST_DATABASE_URL=url)
                self.assert_refused(ended, "list_api_keys: the database cannot be used: ")
                assert "hidden" not in ended.stderr

    def test_the_doctor_tells_of_a_database_that_is_away_and_looks_on(self) -> None:
        url = "postgres://fluxiq:hidden@127.0.0.1:1/fluxiq"
        ended = self.manage("doctor", TEST_DATABASE_URL=url)
        assert ended.returncode == 1
        assert ended.stderr.startswith("doctor: 1 wrong: database: it cannot be used: ")
        assert len(ended.stderr.splitlines()) == 1
        assert "mail" in ended.stdout
        assert "hidden" not in ended.stdout + ended.stderr
        assert "\x1b" not in ended.stdout + ended.stderr

    def test_bash_completes_commands_of_manage_py_alone(self) -> None:
        bash = shutil.which("bash")
        if bash is None:
            self.skipTest("there is no bash on this machine")
        for typed, found in (("manage.py verify_a", "verify_audit_log"), ("x.py verify_a", "")):
            script = (
                "source deploy/completion.bash; COMP_WORDS=($PYTHON $0);"
                " COMP_CWORD=2; _fluxiq_manage; echo -n ${COMPREPLY[*]}"
            )
            ended = subprocess.run(
                [bash, "-c", script, typed],
                cwd=PROJECT,
                env={**os.environ, **self.environment, "PYTHON": sys.executable},
                capture_output=True,
                text=True,
                check=True,
            )
            assert ended.stdout == found, ended

    def test_the_demo_is_refused_under_production_settings(self) -> None:
        production = {**PRODUCTION, "DATABASE_URL": self.environment["TEST_DATABASE_URL"]}
        ended = self.manage("seed_demo", **production)
        self.assert_refused(ended, "seed_demo: the demo has known passwords")

    def test_peppers_that_cannot_be_used_are_one_line(self) -> None:
        production = {**PRODUCTION, "DATABASE_URL": self.environment["TEST_DATABASE_URL"]}
        arguments = ("issue_api_key", "--service", "--name", "Ledger")
        ended = self.manage(*arguments, **{**production, "API_KEY_PEPPERS": "p1:short"})
        self.assert_refused(ended, "API_KEY_PEPPERS")


class EveryCommandTests(CommandTestCase):
    def test_every_command_of_ours_is_built_on_the_shared_base(self) -> None:
        ours = {name for name, app in get_commands().items() if app == "authn"}
        assert {"create_merchant", "issue_api_key", "purge_expired", "seed_demo"} <= ours
        for name in ours - {"migrate"}:  # Django's own, with a bound on how long it waits
            assert isinstance(load_command_class("authn", name), commands.Command), name

    def test_the_audit_trail_names_the_user_of_the_machine(self) -> None:
        self.run_command("create_merchant", "Bar", "--document", "12345678000195")
        event = AuditEvent.objects.get(after__name="Bar")
        assert (event.actor_kind, event.actor_id) == ("command", pwd.getpwuid(os.getuid()).pw_name)


class DurationTests(SimpleTestCase):
    def test_days_hours_minutes_and_seconds_are_read(self) -> None:
        assert commands.duration("90d") == timedelta(days=90)
        assert commands.duration("24h") == timedelta(hours=24)
        assert commands.duration("30m") == timedelta(minutes=30)
        assert commands.duration("45s") == timedelta(seconds=45)

    def test_anything_else_is_refused(self) -> None:
        for text in ("", "0", "0d", "-1d", "1", "d", "1w", "1.5h", "1 d", "1D", "٣d", "1d\n"):
            with self.subTest(text), pytest.raises(CommandError):
                commands.duration(text)

    def test_what_no_date_could_hold_is_refused(self) -> None:
        for text in ("36501d", "999999999d", "9999999999s"):
            with self.subTest(text), pytest.raises(CommandError):
                commands.duration(text)

    def test_nothing_at_all_is_a_duration_where_it_may_be(self) -> None:
        for text in ("0", "0s", "0d"):
            assert commands.duration(text, may_be_zero=True) == timedelta()


class OneLineTests(SimpleTestCase):
    def test_no_text_breaks_the_line_or_moves_the_cursor(self) -> None:
        assert commands.one_line("a\nb\tc \x1b[2J") == "a b c \N{REPLACEMENT CHARACTER}[2J"
