"""`reset_mfa_under`."""

from django.test import override_settings

from authn.tests.commands import CommandTestCase
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.tests.factories import enrol

OLD = "test-1:sealing-key-of-the-tests-alone-0123456789"
NEWER = f"new:sealing-key-that-took-its-place-0123456789,{OLD}"


class ResetMfaUnderTests(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        enrol(self.olga)
        enrol(self.mario)
        with override_settings(MFA_KEYS=NEWER):
            enrol(self.ana)

    def test_factors_under_that_key_go_with_their_sessions_and_others_stay(self) -> None:
        token = self.sign_in(self.olga).access_token
        with override_settings(MFA_KEYS=NEWER):
            result = self.result("reset_mfa_under", "test-1", "--yes", "--reason", "key leaked")
        assert result == {"found": 2, "reset": 2}
        self.assert_unauthorized(self.get("/auth/me", token))
        for user, has_factor in ((self.olga, False), (self.mario, False), (self.ana, True)):
            user.refresh_from_db()
            assert user.has_second_factor is has_factor
        events = AuditEvent.objects.filter(kind=Kind.MFA_RESET)
        assert [event.after for event in events] == [{"reason": "key leaked"}] * 2

    def test_it_tells_how_many_it_removed(self) -> None:
        assert self.run_command("reset_mfa_under", "test-1", "--yes")[0] == (
            "2 second factors removed.\n"
        )

    def test_without_yes_it_only_counts(self) -> None:
        stdout, _ = self.run_command("reset_mfa_under", "test-1")
        assert stdout == "2 second factors would be removed; --yes does it.\n"
        self.olga.refresh_from_db()
        assert self.olga.has_second_factor

    def test_a_key_that_seals_nothing_is_refused(self) -> None:
        refusal = self.refusal("reset_mfa_under", "other", "--yes")
        assert refusal == "there is no second factor under a key 'other'"
