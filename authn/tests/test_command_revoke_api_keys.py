"""`revoke_api_keys`."""

from unittest import mock

from django.test import override_settings

from authn.models import ApiKey
from authn.tests.commands import CommandTestCase
from fluxiq.audit import models as audit
from fluxiq.tests.factories import issue_key

OLD = "test-1:pepper-of-the-tests-alone-0123456789"
NEWER = f"new:pepper-that-took-its-place-0123456789,{OLD}"


class RevokeApiKeysTests(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        _, self.bakers = issue_key(self.bakery)
        _, self.booksellers = issue_key(self.bookshop)
        _, self.service = ApiKey.objects.issue_service_key(name="Gateway")

    def assert_live(self, *secrets: str) -> None:
        """These are let in, and the others are not."""
        for secret in (self.bakers, self.booksellers, self.service):
            with self.subTest(secret[-4:]):
                response = self.get("/auth/verify", secret)
                if secret in secrets:
                    assert response.status_code == 200
                else:
                    self.assert_unauthorized(response)

    def test_those_that_did_not_move_from_the_old_pepper_are_revoked(self) -> None:
        with override_settings(API_KEY_PEPPERS=NEWER):
            self.data(self.get("/accounts", self.bakers))  # which moves it
            result = self.result(
                "revoke_api_keys", "--pepper", "test-1", "--yes", "--reason", "pepper leaked"
            )
            assert result == {"found": 2, "revoked": 2}
            self.assert_live(self.bakers)
        revoked = audit.AuditEvent.objects.filter(kind=audit.Kind.API_KEY_REVOKED)
        assert [event.after for event in revoked] == [{"reason": "pepper leaked"}] * 2

    def test_those_of_a_merchant_are_revoked(self) -> None:
        stdout, _ = self.run_command("revoke_api_keys", "--merchant", self.bakery.id, "--yes")
        assert stdout == "1 API keys revoked.\n"
        self.assert_live(self.booksellers, self.service)

    def test_service_keys_are_revoked(self) -> None:
        self.run_command("revoke_api_keys", "--service", "--yes")
        self.assert_live(self.bakers, self.booksellers)

    def test_all_are_revoked_in_batches_also_those_in_a_grace(self) -> None:
        key, _ = issue_key(self.bakery)
        key.rotate(ApiKey.objects.get(pk=key.pk).created_at - key.created_at)
        with mock.patch("authn.models.api_key_queries.REVOKE_BATCH", 2):
            assert self.result("revoke_api_keys", "--all", "--yes")["revoked"] == 4
        self.assert_live()
        assert not ApiKey.objects.live().exists()

    def test_without_yes_it_only_counts(self) -> None:
        stdout, _ = self.run_command("revoke_api_keys", "--all")
        assert stdout == "3 API keys would be revoked; --yes does it.\n"
        assert self.result("revoke_api_keys", "--all") == {"found": 3, "revoked": 0}
        self.assert_live(self.bakers, self.booksellers, self.service)

    def test_what_names_no_keys_is_refused(self) -> None:
        assert "required" in self.refusal("revoke_api_keys", "--yes")
        assert "not allowed" in self.refusal("revoke_api_keys", "--all", "--service")
        assert "there is no merchant" in self.refusal("revoke_api_keys", "--merchant", "mer_x")
        assert "pepper 'old'" in self.refusal("revoke_api_keys", "--pepper", "old", "--yes")
        assert "reason" in self.refusal("revoke_api_keys", "--all", "--yes", "--reason", "r" * 201)
        self.assert_live(self.bakers, self.booksellers, self.service)
