"""The second step of signing in to the staff console."""

import os
import subprocess
import sys
from datetime import timedelta
from unittest import mock

from django.test import Client
from django.utils import timezone

from accounts.models import User
from authn import passwords, sessions
from authn.mfa import factors
from authn.models import TotpFactor
from authn.tests.second_step import CODE, ENROL, LOGIN, SecondStepCase, admin_paths
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.engines import PROJECT
from fluxiq.tests.factories import PASSWORD, Phone, enrol


class SecondStepTests(SecondStepCase):
    phone: Phone

    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        cls.phone = enrol(cls.sam)

    def test_the_password_alone_opens_nothing(self) -> None:
        assert self.led_to(self.password()) == CODE
        assert "_auth_user_id" not in self.client.session
        assert not self.is_in()
        assert self.events("staff.signed_in") == []

    def test_a_code_signs_in_and_is_audited(self) -> None:
        self.password()
        assert self.led_to(self.code(self.phone.code())) == "/admin/"
        assert self.is_in()
        (event,) = self.events("staff.signed_in")
        assert (event.actor_kind, event.actor_id) == ("staff", self.sam.id)
        assert event.after == {"second_factor": "totp"}

    def test_it_leads_where_the_sign_in_was_to_lead_and_to_no_foreign_site(self) -> None:
        for following, expected in (
            ("/admin/authn/apikey/", "/admin/authn/apikey/"),
            ("https://evil.example/", "/admin/"),
            ("//evil.example/", "/admin/"),
        ):
            TotpFactor.objects.update(last_step=0)
            self.password(next=following)
            assert self.led_to(self.code(self.phone.code())) == expected

    def test_a_recovery_code_signs_in_once(self) -> None:
        self.password()
        assert self.led_to(self.code(self.phone.recovery_codes[0])) == "/admin/"
        self.client.logout()
        self.password()
        assert self.errors(self.code(self.phone.recovery_codes[0])) == ["Invalid code."]
        assert not self.is_in()

    def test_a_wrong_code_says_so_and_may_be_tried_again(self) -> None:
        self.password()
        response = self.code(self.phone.wrong_code())
        assert response.status_code == 200
        assert self.errors(response) == ["Invalid code."]
        assert not self.is_in()
        self.code(self.phone.code())
        assert self.is_in()

    def test_a_time_step_works_once_over_console_and_api(self) -> None:
        body = {"document": self.sam.document, "password": PASSWORD}
        challenge = self.error(self.post("/auth/login", None, body), 403)["challenge"]
        code = self.phone.code()
        self.data(self.post("/auth/login/mfa", None, {"challenge": challenge, "code": code}))
        self.password()
        assert self.errors(self.code(code)) == ["Invalid code."]

    def test_five_wrong_codes_lock_out_here_and_at_the_api(self) -> None:
        self.password()
        for _ in range(5):
            assert self.code(self.phone.wrong_code()).status_code == 200
        response = self.code(self.phone.code())
        assert response.status_code == 429
        seconds = int(response.headers["Retry-After"])
        assert 1 <= seconds <= 900
        assert self.errors(response) == [
            f"Too many failed attempts. Retry after {seconds} seconds."
        ]
        assert not self.is_in()
        body = {"document": self.sam.document, "password": PASSWORD}
        challenge = self.error(self.post("/auth/login", None, body), 403)["challenge"]
        finish = {"challenge": challenge, "code": self.phone.code()}
        self.error(self.post("/auth/login/mfa", None, finish), 429)

    def test_without_the_password_there_is_no_second_step(self) -> None:
        for page in (CODE, ENROL):
            assert self.led_to(self.client.get(page)) == LOGIN
            assert self.led_to(self.code(self.phone.code(), page)) == LOGIN
        assert not self.is_in()

    def test_the_password_is_good_for_five_minutes(self) -> None:
        self.password()
        with self.at(timezone.now() + timedelta(minutes=5, seconds=1)):
            assert self.led_to(self.code(self.phone.code())) == LOGIN

    def test_the_second_step_dies_with_the_password_and_with_the_staff_flag(self) -> None:
        self.password()
        passwords.reset(self.sam, "another long password")
        assert self.led_to(self.code(self.phone.code())) == LOGIN
        self.sam.set_password(PASSWORD)
        self.sam.save()
        self.password()
        User.objects.filter(pk=self.sam.pk).update(is_staff=False)
        assert self.led_to(self.code(self.phone.code())) == LOGIN

    def test_what_changes_while_the_code_is_proved_counts(self) -> None:
        self.password()
        real = sessions.lock_own

        def shut_out_meanwhile(user_id: str, session_id: str | None) -> User:
            User.objects.filter(pk=user_id).update(is_active=False)
            return real(user_id, session_id)

        with mock.patch("authn.sessions.lock_own", side_effect=shut_out_meanwhile):
            assert self.errors(self.code(self.phone.code())) == ["Invalid code."]
        assert "_auth_user_id" not in self.client.session

    def test_the_session_gets_a_new_key_at_each_step(self) -> None:
        self.client.get(LOGIN)
        self.password()
        first = self.client.session.session_key
        self.code(self.phone.code())
        assert self.client.session.session_key != first

    def test_the_pages_are_not_to_be_stored(self) -> None:
        self.password()
        for response in (self.client.get(CODE), self.code(self.phone.wrong_code())):
            assert "no-store" in response.headers["Cache-Control"]

    def test_a_form_without_the_csrf_token_is_refused(self) -> None:
        self.password()
        strict = Client(enforce_csrf_checks=True)
        strict.cookies = self.client.cookies
        assert strict.post(CODE, {"code": self.phone.code()}).status_code == 403
        assert strict.post(ENROL, {"code": self.phone.code()}).status_code == 403

    def test_unfit_codes_are_refused_without_an_attempt(self) -> None:
        self.password()
        for code in ("", "x" * 65):
            for _ in range(3):
                response = self.code(code)
                assert response.status_code == 200
                assert self.errors(response)
        for _ in range(6):
            assert self.code("a\x00b").status_code == 400
        assert self.led_to(self.code(self.phone.code())) == "/admin/"

    def test_a_session_that_has_not_proved_it_reaches_no_page(self) -> None:
        self.client.force_login(self.sam)  # as one from before the factor was enrolled
        checked = 0
        for path in admin_paths():
            response = self.client.get(path)
            assert response.status_code == 302, path
            led_to = response.headers["Location"]
            assert led_to.startswith(LOGIN) or (path, led_to) == ("/admin/logout/", "/admin/")
            checked += 1
        assert checked > 40

    def test_a_reset_or_another_phone_ends_the_session(self) -> None:
        self.password()
        self.code(self.phone.code())
        assert self.is_in()
        factors.reset(self.sam, "lost")
        assert not self.is_in()
        enrol(self.sam)
        assert not self.is_in()

    def test_eight_hours_after_the_sign_in_it_is_over_however_it_was_used(self) -> None:
        self.password()
        self.code(self.phone.code())
        began = timezone.now()
        for minutes in range(20, 8 * 60, 20):
            with self.at(began + timedelta(minutes=minutes)):
                assert self.is_in(), minutes
        with self.at(began + timedelta(hours=8, seconds=1)):
            assert not self.is_in()

    def test_thirty_minutes_without_a_request_end_it(self) -> None:
        self.password()
        self.code(self.phone.code())
        cookie = self.client.get("/admin/").cookies["sessionid"]
        assert cookie["max-age"] == 30 * 60
        assert cookie["httponly"] is True
        assert cookie["samesite"] == "Lax"
        used = timezone.now()
        with self.at(used + timedelta(minutes=29)):
            assert self.is_in()
        with self.at(used + timedelta(minutes=29 + 30, seconds=1)):
            assert not self.is_in()


class WithoutRequirementTests(SecondStepCase):
    def test_staff_without_one_sign_in_by_password(self) -> None:
        assert self.led_to(self.password()) == "/admin/"
        assert self.is_in()
        (event,) = self.events("staff.signed_in")
        assert event.after == {"second_factor": ""}

    def test_enrolling_through_the_api_ends_the_session_of_the_password_alone(self) -> None:
        self.password()
        assert self.is_in()
        enrol(self.sam)
        assert not self.is_in()


class ProductionTests(ApiTestCase):
    def test_cookies_are_secure_and_second_factors_required(self) -> None:
        names = (
            "SESSION_COOKIE_SECURE", "SESSION_COOKIE_HTTPONLY", "SESSION_COOKIE_SAMESITE",
            "SESSION_COOKIE_AGE", "CSRF_COOKIE_SECURE", "MFA_REQUIRED_FOR_STAFF",
            "MFA_REQUIRED_FOR_SUPERUSERS",
        )  # fmt: skip
        script = f"from django.conf import settings as s; print([getattr(s, n) for n in {names}])"
        environment = {
            "DJANGO_SETTINGS_MODULE": "fluxiq.settings.production",
            "SECRET_KEY": "x" * 50,
            "JWT_SIGNING_KEYS": f"k1:{'x' * 40}",
            "API_KEY_PEPPERS": f"p1:{'x' * 40}",
            "AUDIT_KEYS": f"a1:{'x' * 40}",
            "MFA_KEYS": f"m1:{'x' * 40}",
            "ALLOWED_HOSTS": "auth.example.com",
            "DATABASE_URL": "sqlite:////nowhere.sqlite3",
        }
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=PROJECT,
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == "[True, True, 'Lax', 1800, True, True, True]"
