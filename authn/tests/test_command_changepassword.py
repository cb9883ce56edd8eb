"""`changepassword`."""

from django.test import Client

from authn.tests.commands import CommandTestCase
from fluxiq.audit.models import AuditEvent
from fluxiq.tests.factories import PASSWORD

NEW = "staple battery horse"


class ChangePasswordTests(CommandTestCase):
    def test_the_new_password_signs_in_and_every_session_ends(self) -> None:
        console = Client()
        console.force_login(self.sam)
        tokens = self.sign_in(self.sam)
        stdout, _ = self.run_command(
            "changepassword", self.sam.document, "--password-stdin", stdin=f"{NEW}\n"
        )
        assert stdout == f"The password of {self.sam.id} is set, and their sessions ended.\n"
        self.assert_unauthorized(self.get("/auth/me", tokens.access_token))
        assert console.get("/admin/").status_code == 302
        for password, status in ((NEW, 200), (PASSWORD, 401)):
            body = {"document": self.sam.document, "password": password}
            assert self.post("/auth/login", None, body).status_code == status
        event = AuditEvent.objects.get(kind="user.password_reset")
        assert (event.object_id, event.actor_kind) == (self.sam.id, "command")

    def test_an_unfit_password_changes_nothing(self) -> None:
        refused = self.refusal("changepassword", self.sam.id, "--password-stdin", stdin="short")
        assert "12 to 1024 characters" in refused
        self.sam.refresh_from_db()
        assert self.sam.check_password(PASSWORD)

    def test_an_unknown_person_is_refused(self) -> None:
        refused = self.refusal("changepassword", "nobody", "--password-stdin", stdin=NEW)
        assert "there is no user" in refused
