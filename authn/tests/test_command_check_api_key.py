"""`check_api_key`."""

import io
from unittest import mock

from django.core.management import call_command

from authn import keys
from authn.tests.commands import CommandTestCase
from fluxiq.tests.factories import issue_key


class CheckApiKeyTests(CommandTestCase):
    def test_a_well_formed_key_is_told_and_not_printed(self) -> None:
        key = keys.generate("live")
        stdout, stderr = self.run_command("check_api_key", stdin=f" {key}\n")
        assert stdout == "A well-formed API key of a live deployment.\n"
        assert key not in stdout + stderr

    def test_a_key_of_a_test_deployment_is_told_apart(self) -> None:
        result = self.result("check_api_key", stdin=keys.generate("test"))
        assert result == {"well_formed": True, "environment": "test"}

    def test_what_is_not_well_formed_is_told(self) -> None:
        key = keys.generate("live")
        for wrong in (key[:-1], key + "0", key.swapcase(), "rubbish", f"{key} {key}", "é", "\x00"):
            stdout, _ = self.run_command("check_api_key", stdin=wrong)
            assert stdout == "Not a well-formed API key.\n"

    def test_at_a_terminal_it_says_how_to_end(self) -> None:
        terminal, told = io.StringIO(keys.generate("live")), io.StringIO()
        with (
            mock.patch.object(terminal, "isatty", return_value=True),
            mock.patch("sys.stdin", terminal),
        ):
            call_command("check_api_key", stdout=io.StringIO(), stderr=told)
        assert told.getvalue() == "Paste the key and end with Ctrl-D.\n"

    def test_a_look_up_tells_whose_it_is(self) -> None:
        api_key, secret = issue_key(self.bakery, name="Till")
        stdout, _ = self.run_command("check_api_key", "--lookup", stdin=secret)
        assert f"{api_key.id} (Till) of {self.bakery.id}, in force." in stdout
        assert secret not in stdout
        api_key.revoke()
        assert self.result("check_api_key", "--lookup", stdin=secret)["key"] == {
            "id": api_key.id,
            "name": "Till",
            "merchant_id": self.bakery.id,
            "hint": api_key.hint,
            "live": False,
        }

    def test_a_key_that_opens_nothing_here_is_told(self) -> None:
        stdout, _ = self.run_command("check_api_key", "--lookup", stdin=keys.generate("live"))
        assert "It opens nothing in this (live) deployment." in stdout

    def test_looking_does_not_use_the_key(self) -> None:
        api_key, secret = issue_key(self.bakery)
        self.run_command("check_api_key", "--lookup", stdin=secret)
        api_key.refresh_from_db()
        assert api_key.last_used_at is None

    def test_without_look_up_no_database_is_asked(self) -> None:
        with self.assertNumQueries(0):
            self.run_command("check_api_key", stdin=keys.generate("live"))

    def test_nothing_to_check_is_refused(self) -> None:
        assert self.refusal("check_api_key", stdin=" \n") == "standard input is empty"
