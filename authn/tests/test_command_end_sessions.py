"""`end_sessions`."""

from unittest import mock

from django.contrib.sessions.models import Session as StaffSession
from django.test import Client

from authn.models import Session
from authn.tests.commands import CommandTestCase
from fluxiq.audit import models as audit
from fluxiq.tests.factories import issue_key


class EndSessionsTests(CommandTestCase):
    def test_a_users_sessions_end_and_nobody_elses(self) -> None:
        mine, theirs = self.sign_in(self.olga), self.sign_in(self.ana)
        stdout, _ = self.run_command("end_sessions", self.olga.id)
        assert stdout == f"{self.olga.id}: 1 sessions ended.\n"
        self.assert_unauthorized(self.get("/auth/me", mine.access_token))
        self.data(self.get("/auth/me", theirs.access_token))

    def test_with_all_everybody_signs_in_again(self) -> None:
        pairs = [self.sign_in(user) for user in (self.olga, self.ana, self.root)]
        with mock.patch("authn.sessions.BATCH", 2):
            result = self.result("end_sessions", "--all", "--reason", "signing key leaked")
        assert result == {"id": None, "ended": 3, "console_sessions_ended": 0}
        for pair in pairs:
            self.assert_unauthorized(self.get("/auth/me", pair.access_token))
            body = {"refresh_token": pair.refresh_token}
            self.assert_unauthorized(self.post("/auth/refresh", None, body))
        assert set(Session.objects.values_list("ended_reason", flat=True)) == {"signing key leaked"}
        ended = audit.AuditEvent.objects.filter(kind=audit.Kind.SESSION_ENDED)
        assert {event.actor_kind for event in ended} == {"command"}
        assert ended.count() == 3

    def test_with_all_the_console_is_left_too(self) -> None:
        browser = Client()
        browser.force_login(self.root)
        assert StaffSession.objects.count() == 1
        assert self.result("end_sessions", "--all")["console_sessions_ended"] == 1
        assert browser.get("/admin/").status_code == 302

    def test_keys_go_on(self) -> None:
        _, secret = issue_key(self.bakery)
        self.run_command("end_sessions", "--all")
        self.data(self.get("/accounts", secret))

    def test_nobody_named_and_both_named_are_refused(self) -> None:
        assert self.refusal("end_sessions") == "name a user, or --all"
        assert self.refusal("end_sessions", self.olga.id, "--all") == "name a user, or --all"

    def test_an_unknown_user_and_a_reason_too_long_are_refused(self) -> None:
        pair = self.sign_in(self.olga)
        assert "there is no user" in self.refusal("end_sessions", "olga")
        assert "reason" in self.refusal("end_sessions", "--all", "--reason", "r" * 101)
        self.data(self.get("/auth/me", pair.access_token))
