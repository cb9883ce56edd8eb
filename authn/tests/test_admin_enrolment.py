"""Enrolling a second factor at the first sign-in to the staff console."""

import re
from datetime import timedelta
from html import unescape
from typing import Any
from unittest import mock

from django.test import Client, override_settings
from django.utils import timezone

from accounts.models import User
from authn import passwords, sessions
from authn.models import RecoveryCode, TotpFactor
from authn.tests.second_step import CODE, ENROL, LOGIN, SecondStepCase
from fluxiq.errors import Conflict
from fluxiq.tests.factories import PASSWORD, Phone, enrol


class EnrolmentCase(SecondStepCase):
    def secret(self) -> str:
        """What the enrolment page shows."""
        page = unescape(self.client.get(ENROL).content.decode())
        found = re.search(r"<code>([A-Z2-7]{32})</code>", page)
        assert found is not None, page
        return found[1]


@override_settings(MFA_REQUIRED_FOR_STAFF=True)
class StaffEnrolmentTests(EnrolmentCase):
    def test_the_first_sign_in_enrols_and_then_opens(self) -> None:
        assert self.led_to(self.password(next="/admin/authn/session/")) == ENROL
        assert not self.is_in()
        page = self.client.get(ENROL)
        assert "no-store" in page.headers["Cache-Control"]
        assert b'src="data:image/svg+xml' in page.content
        phone = Phone(self.secret(), ())
        response = self.code(phone.code(), ENROL)
        assert response.status_code == 200
        assert "no-store" in response.headers["Cache-Control"]
        shown = re.findall(r"<code>((?:[A-Z2-7]{4}-){3}[A-Z2-7]{4})</code>", self.text(response))
        assert len(set(shown)) == 10
        assert 'href="/admin/authn/session/"' in self.text(response)
        assert self.is_in()
        (event,) = self.events("staff.signed_in")
        assert event.after == {"second_factor": "totp"}
        self.sam.refresh_from_db()
        assert self.sam.has_second_factor
        assert RecoveryCode.objects.spend(self.sam, shown[0])

    def text(self, response: Any) -> str:
        return unescape(response.content.decode())

    def test_the_recovery_codes_are_shown_once_and_kept_nowhere(self) -> None:
        self.password()
        phone = Phone(self.secret(), ())
        code = phone.code()
        shown = re.findall(r"<code>(\S+)</code>", self.text(self.code(code, ENROL)))
        again = self.code(code, ENROL)
        assert self.led_to(again) == LOGIN
        kept = str(dict(self.client.session)) + str(self.client.cookies)
        pages = self.look("") + self.text(self.client.get(ENROL))
        for secret in (*shown, phone.secret):
            assert secret not in kept
            assert secret not in pages

    def test_a_wrong_code_shows_the_same_secret_again(self) -> None:
        self.password()
        secret = self.secret()
        response = self.code(Phone(secret, ()).wrong_code(), ENROL)
        assert self.errors(response) == ["Invalid code."]
        assert secret in self.text(response)
        assert self.secret() == secret
        assert not self.is_in()

    def test_a_secret_that_another_browser_saw_is_never_shown(self) -> None:
        """Or whoever knows the password could see the secret that its owner then confirms."""
        self.password()
        seen = self.secret()
        self.client = Client(raise_request_exception=False)
        self.password()
        assert self.secret() != seen
        assert self.led_to(self.code(Phone(seen, ()).wrong_code(), CODE)) == ENROL

    def test_a_secret_of_a_browser_left_behind_does_not_confirm(self) -> None:
        self.password()
        seen = Phone(self.secret(), ())
        first = self.client
        self.client = Client(raise_request_exception=False)
        self.password()
        self.secret()
        self.client = first
        assert self.led_to(self.code(seen.code(), ENROL)) == ENROL
        assert not self.is_in()

    def test_an_enrolment_that_takes_too_long_begins_anew(self) -> None:
        self.password()
        secret = self.secret()
        TotpFactor.objects.update(created_at=timezone.now() - timedelta(minutes=31))
        assert self.led_to(self.code(Phone(secret, ()).code(), ENROL)) == ENROL
        assert self.secret() != secret

    def test_an_enrolment_whose_key_is_gone_begins_anew(self) -> None:
        self.password()
        secret = self.secret()
        with override_settings(MFA_KEYS=f"other:{'n' * 32}"):
            assert self.secret() != secret

    def test_who_enrols_elsewhere_at_this_moment_is_asked_for_it(self) -> None:
        self.password()

        def too_late(user_id: str) -> None:
            raise Conflict

        with mock.patch("authn.mfa.factors.enrol_without_one", side_effect=too_late):
            assert self.led_to(self.client.get(ENROL)) == CODE

    def test_who_has_one_is_asked_for_it_and_not_for_another(self) -> None:
        phone = enrol(self.sam)
        assert self.led_to(self.password()) == CODE
        assert self.led_to(self.client.get(ENROL)) == CODE
        assert self.led_to(self.code(phone.code())) == "/admin/"

    def test_a_session_from_before_it_was_required_reaches_no_page(self) -> None:
        self.client.force_login(self.root)
        assert not self.is_in()

    def test_five_wrong_codes_lock_out(self) -> None:
        self.password()
        phone = Phone(self.secret(), ())
        for _ in range(5):
            assert self.code(phone.wrong_code(), ENROL).status_code == 200
        assert self.code(phone.code(), ENROL).status_code == 429
        assert not self.is_in()

    def test_whose_password_changes_meanwhile_does_not_enrol(self) -> None:
        self.password()
        phone = Phone(self.secret(), ())
        passwords.reset(self.sam, "another long password")
        assert self.led_to(self.code(phone.code(), ENROL)) == LOGIN
        self.sam.refresh_from_db()
        assert not self.sam.has_second_factor

    def test_who_is_shut_out_while_the_code_is_proved_does_not_enrol(self) -> None:
        self.password()
        phone = Phone(self.secret(), ())
        real = sessions.lock_own

        def shut_out_meanwhile(user_id: str, session_id: str | None) -> User:
            User.objects.filter(pk=user_id).update(is_active=False)
            return real(user_id, session_id)

        with mock.patch("authn.sessions.lock_own", side_effect=shut_out_meanwhile):
            assert self.errors(self.code(phone.code(), ENROL)) == ["Invalid code."]
        self.sam.refresh_from_db()
        assert not self.sam.has_second_factor


@override_settings(MFA_REQUIRED_FOR_STAFF=False, MFA_REQUIRED_FOR_SUPERUSERS=True)
class SuperuserEnrolmentTests(EnrolmentCase):
    def login(self, user: User) -> Any:
        body = {"document": user.document, "password": PASSWORD}
        return self.post("/auth/login", None, body)

    def test_a_superuser_enrols_where_the_api_sends_them_and_gets_tokens(self) -> None:
        enrol_at = self.error(self.login(self.root), 403)["enrol_at"]
        assert self.led_to(self.client.get(enrol_at)).startswith(LOGIN)
        assert self.led_to(self.password(self.root)) == ENROL
        assert not self.is_in()
        phone = Phone(self.secret(), ())
        assert self.code(phone.code(), ENROL).status_code == 200
        assert self.is_in()
        challenge = self.error(self.login(self.root), 403)["challenge"]
        finish = {"challenge": challenge, "code": phone.code(1)}
        assert self.data(self.post("/auth/login/mfa", None, finish))

    def test_a_superusers_session_from_before_it_was_required_reaches_no_page(self) -> None:
        self.client.force_login(self.root)
        assert not self.is_in()
        with override_settings(MFA_REQUIRED_FOR_SUPERUSERS=False):
            self.client.force_login(self.root)
            assert self.is_in()

    def test_other_staff_are_asked_for_none(self) -> None:
        assert self.led_to(self.password()) == "/admin/"
        assert self.is_in()
        assert self.client.get(ENROL).status_code == 302
