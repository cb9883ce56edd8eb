"""`reset_mfa`."""

from authn.tests.commands import CommandTestCase
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.tests.factories import enrol


class ResetMfaTests(CommandTestCase):
    def test_it_removes_the_factor_and_ends_every_session(self) -> None:
        enrol(self.olga)
        token = self.sign_in(self.olga).access_token
        stdout, _ = self.run_command("reset_mfa", "--yes", self.olga.id, "--reason", "phone stolen")
        assert "second factor is removed" in stdout
        self.assert_unauthorized(self.get("/auth/me", token))
        self.olga.refresh_from_db()
        assert not self.olga.has_second_factor
        event = AuditEvent.objects.get(kind=Kind.MFA_RESET)
        assert (event.actor_kind, event.after) == ("command", {"reason": "phone stolen"})

    def test_json_says_whether_there_was_one(self) -> None:
        enrol(self.olga)
        assert self.result("reset_mfa", "--yes", self.olga.id) == {
            "id": self.olga.id,
            "reset": True,
        }
        assert self.result("reset_mfa", "--yes", self.olga.id) == {
            "id": self.olga.id,
            "reset": False,
        }

    def test_an_unknown_user_is_refused(self) -> None:
        for user_id in ("usr_01KGHNZCG0SDM7RCDMT5NQ63DC", "olga"):
            assert "there is no user" in self.refusal("reset_mfa", "--yes", user_id)

    def test_a_reason_that_is_none_is_refused(self) -> None:
        assert "reason" in self.refusal("reset_mfa", "--yes", self.olga.id, "--reason", "")
