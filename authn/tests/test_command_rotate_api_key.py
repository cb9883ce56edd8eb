"""`rotate_api_key`."""

from datetime import timedelta

from authn.models import ApiKey
from authn.tests.commands import CommandTestCase
from fluxiq.tests.factories import issue_key


class RotateApiKeyTests(CommandTestCase):
    def grace(self, *options: str) -> timedelta:
        """How long a key goes on that is rotated with these options."""
        api_key, _ = issue_key(self.bakery)
        self.run_command("rotate_api_key", api_key.id, *options)
        rotated = ApiKey.objects.select_related("successor").get(pk=api_key.pk)
        assert rotated.revoked_at is not None
        grace: timedelta = rotated.revoked_at - rotated.successor.created_at
        return grace

    def test_the_new_key_stands_alone_on_stdout_and_both_work(self) -> None:
        api_key, old = issue_key(self.bakery)
        stdout, stderr = self.run_command("rotate_api_key", api_key.id)
        new = stdout.removesuffix("\n")
        assert new not in stderr
        for secret in (old, new):
            self.data(self.get("/accounts", secret))

    def test_json_is_what_the_api_answers(self) -> None:
        api_key, _ = issue_key(self.bakery)
        rotated = self.result("rotate_api_key", api_key.id)
        shown = self.data(self.get(f"/merchants/{self.bakery.id}/api-keys", self.olga))[0]
        self.data(self.get("/accounts", rotated.pop("key")))
        assert rotated == shown
        assert rotated["rotated_from"] == api_key.id

    def test_the_grace_is_a_day_or_what_is_asked_for(self) -> None:
        assert self.grace() == timedelta(hours=24)
        assert self.grace("--grace", "90m") == timedelta(minutes=90)
        assert self.grace("--grace", "7d") == timedelta(days=7)

    def test_without_grace_the_old_key_is_dead_at_once(self) -> None:
        for none in ("0", "0s"):
            with self.subTest(none):
                api_key, old = issue_key(self.bakery)
                self.run_command("rotate_api_key", api_key.id, "--grace", none)
                self.assert_unauthorized(self.get("/accounts", old))

    def test_a_grace_over_a_week_or_no_duration_is_refused(self) -> None:
        api_key, _ = issue_key(self.bakery)
        for grace in ("8d", "169h", "-1h", "1w", ""):
            with self.subTest(grace):
                self.refusal("rotate_api_key", api_key.id, f"--grace={grace}")
        assert ApiKey.objects.count() == 1

    def test_a_dead_key_has_no_successor(self) -> None:
        api_key, _ = issue_key(self.bakery)
        api_key.revoke()
        refusal = self.refusal("rotate_api_key", api_key.id)
        assert refusal == "This key is no longer in force or was rotated already"

    def test_an_unknown_key_is_refused(self) -> None:
        assert self.refusal("rotate_api_key", "key_x") == "there is no API key 'key_x'"
