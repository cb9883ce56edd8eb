"""`list_api_keys`."""

from datetime import timedelta

from django.test import override_settings
from django.utils import timezone

from authn import usage
from authn.models import ApiKey
from authn.tests.commands import CommandTestCase
from fluxiq.scopes import Scope
from fluxiq.tests.factories import issue_key

OLD, NEW = "old:pepper-of-the-tests-alone-0123456789", "new:pepper-of-the-tests-alone-9876543210"


class ListApiKeysTests(CommandTestCase):
    def states(self) -> dict[str, str]:
        """The state that is shown of each key, by name."""
        return {key["name"]: key["state"] for key in self.result("list_api_keys")}

    def test_json_lists_every_key_as_the_api_shows_it(self) -> None:
        issue_key(self.bakery, Scope.PIX_READ, name="Till")
        issue_key(self.bookshop, name="Shelf")
        listed = self.result("list_api_keys")
        shown = self.data(self.get(f"/merchants/{self.bakery.id}/api-keys", self.olga))[0]
        assert [key["name"] for key in listed] == ["Shelf", "Till"]
        assert listed[1] == {**shown, "state": "live"}

    def test_one_merchants_keys_can_be_asked_for(self) -> None:
        issue_key(self.bakery, name="Till")
        issue_key(self.bookshop, name="Shelf")
        listed = self.result("list_api_keys", "--merchant", self.bakery.id)
        assert [key["name"] for key in listed] == ["Till"]

    def test_an_unknown_merchant_is_refused(self) -> None:
        assert (
            self.refusal("list_api_keys", "--merchant", "mer_x") == "there is no merchant 'mer_x'"
        )

    def test_no_secret_is_listed(self) -> None:
        _, secret = issue_key(self.bakery)
        for arguments in (("list_api_keys",), ("list_api_keys", "--json")):
            assert secret[12:-4] not in self.run_command(*arguments)[0]

    def test_the_table_tells_of_each_key_on_one_line(self) -> None:
        api_key, secret = issue_key(self.bakery, Scope.PIX_READ, Scope.PIX_WRITE, name="Till")
        self.get("/auth/me", secret)
        usage.flush()
        heading, line = self.run_command("list_api_keys")[0].splitlines()
        api_key.refresh_from_db()
        assert " ".join(heading.split()) == (
            "ID MERCHANT NAME HINT STATE PERMISSIONS LAST USED EXPIRES"
        )
        used = f"{api_key.last_used_at:%Y-%m-%dT%H:%M:%SZ}"
        assert line.split() == [
            *(api_key.id, self.bakery.id, "Till", api_key.hint, "live", "pix:read", "pix:write"),
            *(used, "never"),
        ]

    def test_a_name_cannot_forge_lines_or_move_the_cursor(self) -> None:
        issue_key(self.bakery, name="Till\n\x1b[2Jgone")
        stdout, _ = self.run_command("list_api_keys")
        assert len(stdout.splitlines()) == 2
        assert "\x1b" not in stdout

    def test_the_state_tells_why_a_key_is_not_in_force(self) -> None:
        issue_key(self.bakery, name="live")
        issue_key(self.bakery, name="revoked")[0].revoke()
        issue_key(self.bakery, name="in grace")[0].rotate(timedelta(hours=1))
        ApiKey.objects.filter(rotated_from__isnull=False).update(name="successor")
        soon = timezone.now() + timedelta(minutes=1)
        issue_key(self.bakery, name="expired", expires_at=soon)
        issue_key(self.bookshop, name="suspended")
        self.bookshop.suspend()
        with self.at(soon):
            assert self.states() == {
                "live": "live",
                "revoked": "revoked",
                "in grace": "in grace",
                "successor": "live",
                "expired": "expired",
                "suspended": "suspended",
            }


class PeppersTests(CommandTestCase):
    def test_live_keys_are_counted_per_pepper(self) -> None:
        with override_settings(API_KEY_PEPPERS=OLD):
            issue_key(self.bakery)
            issue_key(self.bakery)[0].revoke()
            issue_key(self.bookshop)
        with override_settings(API_KEY_PEPPERS=f"{NEW},{OLD}"):
            assert self.result("list_api_keys", "--peppers") == {"new": 0, "old": 2}
            one = self.result("list_api_keys", "--peppers", "--merchant", self.bakery.id)
            assert one == {"new": 0, "old": 1}

    def test_a_pepper_that_was_taken_out_is_still_named(self) -> None:
        with override_settings(API_KEY_PEPPERS=OLD):
            issue_key(self.bakery)
        with override_settings(API_KEY_PEPPERS=NEW):
            stdout, _ = self.run_command("list_api_keys", "--peppers")
        assert [line.split() for line in stdout.splitlines()] == [
            ["PEPPER", "LIVE", "KEYS"],
            ["new", "0"],
            ["old", "1"],
        ]
