"""`revoke_api_key`."""

from authn.models import ApiKey
from authn.tests.commands import CommandTestCase
from fluxiq.audit import models as audit
from fluxiq.tests.factories import issue_key


class RevokeApiKeyTests(CommandTestCase):
    def test_the_key_is_refused_at_the_next_request(self) -> None:
        api_key, secret = issue_key(self.bakery)
        self.data(self.get("/accounts", secret))
        stdout, _ = self.run_command("revoke_api_key", api_key.id)
        assert stdout.startswith(f"{api_key.id} revoked at ")
        self.assert_unauthorized(self.get("/accounts", secret))

    def test_json_is_the_key_as_it_stands_after(self) -> None:
        api_key, _ = issue_key(self.bakery)
        result = self.result("revoke_api_key", api_key.id)
        assert result["id"] == api_key.id
        assert result["revoked_at"] is not None
        assert result["already_revoked"] is False

    def test_the_reason_is_kept_and_audited(self) -> None:
        api_key, _ = issue_key(self.bakery)
        self.run_command("revoke_api_key", api_key.id, "--reason", "found in a log")
        api_key.refresh_from_db()
        event = audit.AuditEvent.objects.get(kind=audit.Kind.API_KEY_REVOKED)
        assert api_key.revoked_reason == "found in a log"
        assert event.after == {"reason": "found in a log"}
        assert event.actor_kind == "command"

    def test_revoking_twice_says_so_and_changes_nothing(self) -> None:
        api_key, _ = issue_key(self.bakery)
        self.run_command("revoke_api_key", api_key.id, "--reason", "first")
        before = ApiKey.objects.get(pk=api_key.pk)
        stdout, _ = self.run_command("revoke_api_key", api_key.id, "--reason", "second")
        after = ApiKey.objects.get(pk=api_key.pk)
        assert "was revoked already" in stdout
        assert (after.revoked_at, after.revoked_reason) == (before.revoked_at, "first")
        assert self.result("revoke_api_key", api_key.id)["already_revoked"] is True

    def test_an_unknown_key_is_refused(self) -> None:
        for key_id in ("key_x", ApiKey().id, self.bakery.id):
            with self.subTest(key_id):
                assert self.refusal("revoke_api_key", key_id) == f"there is no API key {key_id!r}"

    def test_a_reason_too_long_to_keep_is_refused(self) -> None:
        api_key, secret = issue_key(self.bakery)
        refusal = self.refusal("revoke_api_key", api_key.id, "--reason", "r" * 201)
        assert refusal == "reason: Ensure this field has no more than 200 characters."
        self.data(self.get("/accounts", secret))
