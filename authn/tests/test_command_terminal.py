"""What commands do at a terminal and not where they are piped: colour, bars, questions."""

import io
from datetime import timedelta
from unittest import mock

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from authn import purge
from authn.models import ApiKey, Session
from authn.tests.commands import CommandTestCase
from fluxiq import commands
from fluxiq.tests.factories import enrol, issue_key


class Terminal(io.StringIO):
    """What takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


class QuestionTests(CommandTestCase):
    """Before what cannot be undone."""

    def at_terminal(self, answer: str, *arguments: str) -> str:
        """What is asked of somebody who gives that answer."""
        asked = io.StringIO()
        with (
            mock.patch("sys.stdin", Terminal(answer)),
            mock.patch("sys.stderr", Terminal()),
        ):
            call_command(*arguments, stdout=io.StringIO(), stderr=asked)
        return asked.getvalue()

    def refused_at_terminal(self, answer: str, *arguments: str) -> str:
        with pytest.raises(CommandError) as refused:
            self.at_terminal(answer, *arguments)
        return str(refused.value)

    def test_a_no_an_empty_line_and_an_end_of_input_do_nothing(self) -> None:
        api_key, _ = issue_key(self.bakery)
        for answer in ("n\n", "\n", "", "yess\n"):
            with self.subTest(answer):
                refusal = self.refused_at_terminal(answer, "revoke_api_key", api_key.id)
                assert refusal == "nothing was done"
        api_key.refresh_from_db()
        assert api_key.is_live

    def test_a_yes_does_it_and_the_question_names_what_ends(self) -> None:
        api_key, _ = issue_key(self.bakery, name="Till")
        asked = self.at_terminal("Y\n", "revoke_api_key", api_key.id)
        assert asked.startswith(f"End Till ({api_key.hint}) of Padaria Aurora")
        api_key.refresh_from_db()
        assert not api_key.is_live

    def test_yes_beforehand_asks_nothing(self) -> None:
        api_key, _ = issue_key(self.bakery)
        assert self.at_terminal("", "revoke_api_key", api_key.id, "--yes") == ""
        assert not ApiKey.objects.live().filter(pk=api_key.pk).exists()

    def test_what_ended_already_needs_no_question(self) -> None:
        api_key, _ = issue_key(self.bakery)
        api_key.revoke()
        assert self.at_terminal("", "revoke_api_key", api_key.id) == ""

    def test_the_contracts_commands_run_in_scripts_as_they_stand(self) -> None:
        one, _ = issue_key(self.bakery)
        other, _ = issue_key(self.bakery)
        self.run_command("revoke_api_key", one.id)
        self.run_command("rotate_api_key", other.id, "--grace", "0")
        assert not ApiKey.objects.live().filter(pk__in=[one.pk, other.pk]).exists()

    def test_a_rotation_asks_only_where_the_old_key_dies_at_once(self) -> None:
        api_key, _ = issue_key(self.bakery)
        refusal = self.refused_at_terminal("n\n", "rotate_api_key", api_key.id, "--grace", "0")
        assert refusal == "nothing was done"
        assert "End" not in self.at_terminal("", "rotate_api_key", api_key.id)

    def test_other_commands_refuse_in_a_script_unless_yes_is_said(self) -> None:
        enrol(self.olga)
        refusal = self.refusal("reset_mfa", self.olga.id)
        assert refusal == ("this cannot be undone, and there is no terminal to ask at: add --yes")
        assert self.result("reset_mfa", self.olga.id, "--yes")["reset"]


class ColourTests(CommandTestCase):
    def listed(self, stdout: io.StringIO, *options: str) -> str:
        call_command("list_api_keys", *options, stdout=stdout)
        return stdout.getvalue()

    def test_a_pipe_gets_no_colour_and_who_forces_it_does(self) -> None:
        issue_key(self.bakery)
        assert "\x1b" not in self.listed(io.StringIO())
        assert "\x1b[" in self.listed(io.StringIO(), "--force-color")
        assert "\x1b" not in self.listed(Terminal(), "--no-color")

    def test_json_is_never_coloured(self) -> None:
        assert "\x1b" not in self.listed(io.StringIO(), "--json", "--force-color")


class ProgressTests(CommandTestCase):
    def test_a_purge_tells_how_far_it_is_after_each_batch(self) -> None:
        for _ in range(3):
            self.sign_in(self.olga)
        long_ago = timezone.now() - timedelta(days=400)
        Session.objects.update(created_at=long_ago, expires_at=long_ago + timedelta(days=1))
        told: list[int] = []
        purged = purge.purge_expired(batch_size=2, step=told.append)
        assert purged.sessions == 3
        assert told == sorted(told)
        assert told[-1] == purged.sessions + purged.tokens
        assert 2 in told

    def test_a_bar_is_drawn_on_a_terminal_alone(self) -> None:
        for stream, drawn in ((Terminal(), True), (io.StringIO(), False)):
            with mock.patch("sys.stderr", stream), commands.progress(10, "rows") as step:
                step(10)
            assert bool(stream.getvalue()) is drawn
