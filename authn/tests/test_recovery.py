"""POST /api/v1/auth/password/forgot and /auth/password/reset, and the page between them."""

import re
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

from django.core import mail
from django.test import override_settings
from django_ratelimit.core import get_usage

from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import PASSWORD

NEW = "a wholly new password"


class RecoveryTests(ApiTestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        cls.olga.email = "olga@padaria.example"
        cls.olga.save(update_fields=["email"])

    def forgot(self, document: Any) -> Any:
        with self.captureOnCommitCallbacks(execute=True):
            return self.post("/auth/password/forgot", None, {"document": document})

    def token(self) -> str:
        """The token of a link mailed to olga."""
        self.forgot(self.olga.document)
        found = re.search(r"#(\S+)", str(mail.outbox[-1].body))
        assert found is not None
        return found[1]

    def reset(self, token: Any, new: Any = NEW) -> Any:
        with self.captureOnCommitCallbacks(execute=True):
            body = {"token": token, "new_password": new}
            return self.post("/auth/password/reset", None, body)

    def sign_in_with(self, password: str) -> int:
        body = {"document": self.olga.document, "password": password}
        status: int = self.post("/auth/login", None, body).status_code
        return status

    def test_a_link_is_mailed_to_the_user(self) -> None:
        response = self.forgot(self.olga.document)
        assert (response.status_code, response.content) == (202, b"")
        (message,) = mail.outbox
        assert message.to == ["olga@padaria.example"]
        assert "/reset-password#usr_" in str(message.body)

    def test_a_link_that_is_mailed_is_audited_and_nothing_else_is(self) -> None:
        with override_settings(RATE_LIMIT_ANONYMOUS=(100, 60)):
            for _ in range(5):
                self.forgot(self.olga.document)
            for document in (self.mario.document, "9" * 11, "x"):
                self.forgot(document)
        assert len(mail.outbox) == 3
        events = AuditEvent.objects.filter(kind=Kind.PASSWORD_RESET_MAILED)
        assert [event.object_id for event in events] == [self.olga.id] * 3
        assert {event.address for event in events} == {"127.0.0.1"}
        link = str(mail.outbox[-1].body).partition("#")[2].split()[0]
        assert link not in repr([event.__dict__ for event in events])

    def test_the_answer_is_the_same_whether_there_is_such_a_user(self) -> None:
        answers = [self.forgot(self.olga.document)]
        self.ana.deactivate()
        answers += [self.forgot(d) for d in (self.mario.document, self.ana.document, "9" * 11, "x")]
        assert {(a.status_code, a.content) for a in answers} == {(202, b"")}
        assert len(mail.outbox) == 1

    @override_settings(MAIL_IN_BACKGROUND=True)
    def test_before_the_answer_nothing_is_done_that_depends_on_who_is_known(self) -> None:
        self.ana.deactivate()
        known, of_others = self.olga.document, (self.mario.document, self.ana.document, "9" * 11)
        with mock.patch("fluxiq.background.Errands.hand_over", return_value=True) as handed_over:
            for document in (known, *of_others, "x"):
                with (
                    self.assertNumQueries(0),
                    mock.patch("authn.ratelimit.get_usage", wraps=get_usage) as counted,
                    mock.patch("authn.recovery.make_token") as made,
                ):
                    assert self.forgot(document).status_code == 202
                assert [call.kwargs["group"] for call in counted.call_args_list] == ["address:"]
                assert not made.called
        assert mail.outbox == []
        assert handed_over.call_count == 5
        with self.settings(MAIL_IN_BACKGROUND=False):
            for call in handed_over.call_args_list:
                with self.captureOnCommitCallbacks(execute=True):
                    call.args[0]()
        assert [message.to for message in mail.outbox] == [["olga@padaria.example"]]

    @override_settings(MAIL_IN_BACKGROUND=True)
    def test_where_too_much_waits_the_answer_is_the_same(self) -> None:
        with (
            mock.patch("fluxiq.background.Errands.hand_over", return_value=False),
            self.assertLogs("fluxiq.mail", "ERROR") as logged,
        ):
            assert self.forgot(self.olga.document).status_code == 202
        assert logged.records[0].getMessage() == "a mail was not sent: 1000 wait already"

    def test_the_token_sets_a_password_and_ends_every_session(self) -> None:
        pair = self.sign_in(self.olga)
        assert self.reset(self.token()).status_code == 204
        self.assert_unauthorized(self.get("/auth/me", pair.access_token))
        assert self.sign_in_with(NEW) == 200
        assert self.sign_in_with(PASSWORD) == 401

    def test_a_token_serves_once(self) -> None:
        token = self.token()
        assert self.reset(token).status_code == 204
        self.assert_unauthorized(self.reset(token, "yet another password"))
        assert self.sign_in_with(NEW) == 200

    def test_a_newer_password_kills_an_older_link(self) -> None:
        first, second = self.token(), self.token()
        assert self.reset(second).status_code == 204
        self.assert_unauthorized(self.reset(first))

    def test_a_token_serves_for_thirty_minutes(self) -> None:
        clock = "django.contrib.auth.tokens.PasswordResetTokenGenerator._now"
        token = self.token()
        now = datetime.now()  # noqa: DTZ005 - the clock of Django's generator is naive
        with mock.patch(clock, return_value=now + timedelta(minutes=31)):
            self.assert_unauthorized(self.reset(token))
        with mock.patch(clock, return_value=now + timedelta(minutes=29)):
            assert self.reset(token).status_code == 204

    def test_an_unfit_password_is_refused_and_the_token_still_serves(self) -> None:
        token = self.token()
        self.assert_invalid(self.reset(token, "short"), "new_password")
        assert self.reset(token).status_code == 204

    def test_what_is_no_token_of_ours_is_refused(self) -> None:
        token = self.token()
        user_id, _, proof = token.partition(".")
        for wrong in (
            "x", ".", user_id, f"{user_id}.", f"{user_id}.x-y", f"{self.ana.id}.{proof}",
            token + "0", "usr_x." + proof, f".{proof}",
        ):  # fmt: skip
            self.forget_counts()
            self.assert_unauthorized(self.reset(wrong))

    def test_a_deactivated_user_cannot_reset(self) -> None:
        token = self.token()
        self.olga.deactivate()
        self.assert_unauthorized(self.reset(token))

    def test_a_link_from_before_a_deactivation_serves_no_more(self) -> None:
        token = self.token()
        self.olga.deactivate()
        self.olga.reactivate()
        self.assert_unauthorized(self.reset(token))

    def test_a_mailbox_cannot_be_flooded(self) -> None:
        for _ in range(6):
            assert self.forgot(self.olga.document).status_code == 202
        assert len(mail.outbox) == 3

    def test_a_reset_is_audited_and_told_by_mail(self) -> None:
        self.reset(self.token())
        event = AuditEvent.objects.get(kind=Kind.PASSWORD_RESET)
        assert (event.actor_id, event.object_id) == (self.olga.id, self.olga.id)
        assert mail.outbox[-1].subject == "Your FluxiQ password was changed"

    def test_unfit_bodies_are_refused(self) -> None:
        unfit: tuple[Any, ...] = (None, 5, "", [], {}, "x" * 300, "\x00")
        for value in unfit:
            self.forget_counts()
            self.assert_invalid(self.forgot(value), "document")
            self.assert_invalid(self.reset(value), "token")

    def test_a_mail_server_that_is_away_changes_no_answer(self) -> None:
        with (
            mock.patch("fluxiq.mail.EmailMessage.send", side_effect=ConnectionRefusedError),
            self.assertLogs("fluxiq.mail", "ERROR"),
        ):
            assert self.forgot(self.olga.document).status_code == 202

    def test_the_page_of_the_link_runs_no_script_but_ours(self) -> None:
        response = self.client.get("/reset-password")
        assert response.status_code == 200
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert b"<script>" not in response.content

    @override_settings(PASSWORD_RESET_URL="https://bank.example/reset?t={token}")
    def test_the_link_can_lead_to_another_page(self) -> None:
        self.forgot(self.olga.document)
        assert "https://bank.example/reset?t=usr_" in str(mail.outbox[0].body)


class NoticeTests(ApiTestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        for user in (cls.olga, cls.root):
            user.email = f"{user.name.lower()}@padaria.example"
            user.save(update_fields=["email"])

    def subjects(self) -> list[tuple[str, list[str]]]:
        return [(str(m.subject), m.to) for m in mail.outbox]

    def test_a_new_key_is_told_to_the_owners_and_to_who_made_it(self) -> None:
        path = f"/merchants/{self.bakery.id}/api-keys"
        body = {"name": "New", "permissions": ["pix:write"]}
        with self.captureOnCommitCallbacks(execute=True):
            answer = self.data(self.post(path, self.root, body), 201)
        expected = "New API key at Padaria Aurora"
        assert self.subjects() == [
            (expected, ["olga@padaria.example"]),
            (expected, ["root@padaria.example"]),
        ]
        text = str(mail.outbox[0].body)
        assert answer["hint"] in text
        assert answer["key"] not in text

    def test_a_changed_password_is_told_to_its_user(self) -> None:
        body = {"current_password": PASSWORD, "new_password": NEW}
        with self.captureOnCommitCallbacks(execute=True):
            self.post("/auth/password", self.olga, body)
        told = ("Your FluxiQ password was changed", ["olga@padaria.example"])
        assert self.subjects() == [told]

    def test_a_session_that_ended_for_reuse_is_told_to_its_user(self) -> None:
        first = self.sign_in(self.olga).refresh_token
        pair = self.post("/auth/refresh", None, {"refresh_token": first}).json()["data"]
        self.post("/auth/refresh", None, {"refresh_token": pair["refresh_token"]})
        with (
            self.captureOnCommitCallbacks(execute=True),
            self.assertLogs("authn.sessions", "WARNING") as logged,
        ):
            self.post("/auth/refresh", None, {"refresh_token": first}, HTTP_USER_AGENT="thief/1")
        told = ("A FluxiQ session of yours was ended", ["olga@padaria.example"])
        assert self.subjects() == [told]
        assert "thief/1" in logged.output[0]
        assert first not in logged.output[0]

    def test_a_name_cannot_add_a_header(self) -> None:
        type(self.bakery).objects.update(name="Padaria\nBcc: all@example.com")
        with self.captureOnCommitCallbacks(execute=True):
            path = f"/merchants/{self.bakery.id}/api-keys"
            self.post(path, self.olga, {"name": "New", "permissions": ["pix:write"]})
        (message,) = mail.outbox
        assert message.subject == "New API key at Padaria Bcc: all@example.com"
        assert message.bcc == []

    def test_who_has_no_address_is_not_told(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            self.post(
                f"/merchants/{self.bookshop.id}/api-keys",
                self.ana,
                {"name": "New", "permissions": ["pix:write"]},
            )
        assert mail.outbox == []
