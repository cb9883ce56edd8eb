"""/api/v1/auth/mfa: status, enrol, confirm, recovery codes, remove."""

import re
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import override_settings
from django.utils import timezone

from accounts.models import User
from authn.mfa import factors
from authn.models import RecoveryCode, Session, TotpFactor
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.errors import Conflict
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import PASSWORD, Phone, enrol, issue_key


@override_settings(RATE_LIMIT_ANONYMOUS=(10_000, 60), RATE_LIMIT_JWT=(10_000, 60))
class MfaEnrolmentTests(ApiTestCase):
    def enrol(self, user: User, password: str = PASSWORD, **body: Any) -> Any:
        return self.post("/auth/mfa/enrol", user, {"current_password": password, **body})

    def confirm(self, user: User, code: str) -> Any:
        return self.post("/auth/mfa/confirm", user, {"code": code})

    def remove(self, user: User, code: str, password: str = PASSWORD) -> Any:
        return self.delete_with(user, {"current_password": password, "code": code})

    def delete_with(self, user: User, body: Any) -> Any:
        return self.call("DELETE", "/auth/mfa", user, body)

    def proposed(self, user: User, **body: Any) -> Phone:
        """A phone that scanned the QR code, and was not confirmed."""
        return Phone(self.data(self.enrol(user, **body))["secret"], ())

    def enrolled(self, user: User) -> Phone:
        """A phone that was confirmed in the user's own session, none of its codes used."""
        phone = self.proposed(user)
        codes = self.data(self.confirm(user, phone.code()))["recovery_codes"]
        TotpFactor.objects.update(last_step=0)
        return Phone(phone.secret, codes)

    def status(self, user: User) -> Any:
        return self.data(self.get("/auth/mfa", user))

    def test_without_one_the_status_says_so(self) -> None:
        assert self.status(self.olga) == {
            "enabled": False,
            "enrolled_at": None,
            "recovery_codes_left": 0,
            "mandatory": False,
        }

    def test_enrolling_answers_what_an_app_needs_and_is_not_to_be_stored(self) -> None:
        response = self.enrol(self.olga)
        shown = self.data(response)
        assert response.headers["Cache-Control"] == "no-store"
        assert re.fullmatch(r"[A-Z2-7]{32}", shown["secret"])
        assert shown["otpauth_uri"].startswith("otpauth://totp/FluxiQ:")
        assert f"secret={shown['secret']}" in shown["otpauth_uri"]
        assert self.olga.document not in shown["otpauth_uri"]
        assert shown["qr_code"].startswith("data:image/svg+xml")
        assert shown["expires_in"] == 1800

    def test_until_it_is_confirmed_nothing_changes(self) -> None:
        self.proposed(self.olga)
        assert self.status(self.olga)["enabled"] is False
        body = {"document": self.olga.document, "password": PASSWORD}
        assert self.post("/auth/login", None, body).status_code == 200

    def test_the_first_code_confirms_and_shows_ten_recovery_codes_once(self) -> None:
        phone = self.proposed(self.olga)
        response = self.confirm(self.olga, phone.code())
        codes = self.data(response)["recovery_codes"]
        assert response.headers["Cache-Control"] == "no-store"
        assert len(set(codes)) == 10
        assert all(re.fullmatch(r"([A-Z2-7]{4}-){3}[A-Z2-7]{4}", code) for code in codes)
        status = self.status(self.olga)
        assert (status["enabled"], status["recovery_codes_left"]) == (True, 10)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", status["enrolled_at"])
        assert self.error(self.confirm(self.olga, phone.code(1)), 409)["code"] == "CONFLICT"

    def test_the_code_that_confirmed_signs_nobody_in(self) -> None:
        phone = self.proposed(self.olga)
        code = phone.code()
        self.data(self.confirm(self.olga, code))
        body = {"document": self.olga.document, "password": PASSWORD}
        challenge = self.error(self.post("/auth/login", None, body), 403)["challenge"]
        finish = {"challenge": challenge, "code": code}
        assert self.post("/auth/login/mfa", None, finish).status_code == 401

    def test_confirming_ends_all_other_sessions_and_this_one_counts_as_proved(self) -> None:
        other = self.sign_in(self.olga).access_token
        phone = self.proposed(self.olga)
        self.data(self.confirm(self.olga, phone.code()))
        self.assert_unauthorized(self.get("/auth/me", other))
        (live,) = Session.objects.live().filter(user=self.olga)
        assert live.second_factor == "totp"
        assert self.status(self.olga)["enabled"] is True

    def test_a_wrong_password_is_400_and_a_failed_sign_in(self) -> None:
        for _ in range(5):
            self.assert_invalid(self.enrol(self.olga, "wrong password"), "current_password")
        self.error(self.enrol(self.olga), 429)
        assert not TotpFactor.objects.exists()

    def test_a_wrong_code_does_not_confirm_and_five_lock_out(self) -> None:
        phone = self.proposed(self.olga)
        for _ in range(5):
            self.assert_invalid(self.confirm(self.olga, phone.wrong_code()), "code")
        self.error(self.confirm(self.olga, phone.code()), 429)
        assert self.status(self.olga)["enabled"] is False

    def test_enrolling_again_gives_another_secret_and_the_first_serves_no_more(self) -> None:
        first, second = self.proposed(self.olga), self.proposed(self.olga)
        assert first.secret != second.secret
        self.assert_invalid(self.confirm(self.olga, first.code()), "code")
        self.data(self.confirm(self.olga, second.code()))

    def test_an_enrolment_is_over_after_thirty_minutes(self) -> None:
        phone = self.proposed(self.olga)
        began = timezone.now() - timedelta(minutes=30, seconds=1)
        TotpFactor.objects.update(created_at=began)
        self.error(self.confirm(self.olga, phone.code()), 409)
        TotpFactor.objects.update(created_at=began + timedelta(seconds=10))
        self.data(self.confirm(self.olga, phone.code()))

    def test_without_an_enrolment_there_is_nothing_to_confirm(self) -> None:
        self.error(self.confirm(self.olga, "123456"), 409)

    def test_who_has_one_proves_it_to_move_to_another_phone(self) -> None:
        old = self.enrolled(self.olga)
        self.assert_invalid(self.enrol(self.olga), "code")
        self.assert_invalid(self.enrol(self.olga, code=old.wrong_code()), "code")
        new = self.proposed(self.olga, code=old.code())
        # Until the new one is confirmed the old one serves.
        self.data(self.post("/auth/mfa/recovery-codes", self.olga, {"code": old.code(1)}))
        self.data(self.confirm(self.olga, new.code()))
        TotpFactor.objects.update(last_step=0)
        response = self.post("/auth/mfa/recovery-codes", self.olga, {"code": old.code()})
        self.assert_invalid(response, "code")
        assert TotpFactor.objects.count() == 1

    def test_a_code_where_there_is_no_factor_to_prove_is_wrong(self) -> None:
        self.assert_invalid(self.enrol(self.olga, code="123456"), "code")

    def test_new_recovery_codes_take_the_place_of_the_old(self) -> None:
        phone = self.enrolled(self.olga)
        response = self.post("/auth/mfa/recovery-codes", self.olga, {"code": phone.code()})
        renewed = self.data(response)["recovery_codes"]
        assert response.headers["Cache-Control"] == "no-store"
        assert not set(renewed) & set(phone.recovery_codes)
        assert not RecoveryCode.objects.spend(self.olga, phone.recovery_codes[0])
        assert RecoveryCode.objects.spend(self.olga, renewed[0])
        assert self.status(self.olga)["recovery_codes_left"] == 9

    def test_without_a_factor_there_are_no_codes_to_renew_and_nothing_to_remove(self) -> None:
        self.error(self.post("/auth/mfa/recovery-codes", self.olga, {"code": "123456"}), 409)
        self.error(self.remove(self.olga, "123456"), 409)

    def test_removing_takes_password_and_code_and_ends_other_sessions(self) -> None:
        phone = self.enrolled(self.olga)
        other = self.sign_in(self.olga).access_token
        code = phone.code()
        self.assert_invalid(self.remove(self.olga, code, "wrong password"), "current_password")
        self.assert_invalid(self.remove(self.olga, phone.wrong_code()), "code")
        self.assert_invalid(self.delete_with(self.olga, {"code": code}), "current_password")
        assert self.status(self.olga)["enabled"] is True
        assert self.remove(self.olga, code).status_code == 204
        self.assert_unauthorized(self.get("/auth/me", other))
        assert self.status(self.olga)["enabled"] is False
        assert not TotpFactor.objects.exists()
        assert not RecoveryCode.objects.exists()
        assert Session.objects.live().get(user=self.olga).second_factor == ""
        body = {"document": self.olga.document, "password": PASSWORD}
        assert self.post("/auth/login", None, body).status_code == 200

    def test_a_recovery_code_removes_it_too(self) -> None:
        phone = self.enrolled(self.olga)
        assert self.remove(self.olga, phone.recovery_codes[0]).status_code == 204

    def test_who_has_one_is_given_none_for_a_password_alone(self) -> None:
        enrol(self.olga)
        with pytest.raises(Conflict, match="There is a second factor already"):
            factors.enrol_without_one(self.olga.id)

    def test_each_change_is_audited_without_a_secret(self) -> None:
        phone = self.enrolled(self.olga)
        self.post("/auth/mfa/recovery-codes", self.olga, {"code": phone.code()})
        self.remove(self.olga, phone.code(1))
        for kind in (Kind.MFA_ENROLLED, Kind.RECOVERY_CODES_RENEWED, Kind.MFA_REMOVED):
            event = AuditEvent.objects.get(kind=kind)
            assert (event.object_id, event.actor_id) == (self.olga.id, self.olga.id)
            assert phone.secret not in str(event.after)

    def test_each_change_is_mailed(self) -> None:
        User.objects.filter(pk=self.olga.pk).update(email="olga@example.com")
        with self.captureOnCommitCallbacks(execute=True):
            phone = self.enrolled(self.olga)
            self.post("/auth/mfa/recovery-codes", self.olga, {"code": phone.code()})
            self.remove(self.olga, phone.code(1))
        assert [message.subject for message in mail.outbox] == [
            "Two-factor sign-in is on at FluxiQ",
            "New recovery codes at FluxiQ",
            "Two-factor sign-in is off at FluxiQ",
        ]
        assert all(message.to == ["olga@example.com"] for message in mail.outbox)
        assert not any(phone.secret in message.body for message in mail.outbox)

    def test_keys_have_no_second_factor(self) -> None:
        _, secret = issue_key(self.bakery)
        for method, path in (
            ("GET", "/auth/mfa"),
            ("DELETE", "/auth/mfa"),
            ("POST", "/auth/mfa/enrol"),
            ("POST", "/auth/mfa/confirm"),
            ("POST", "/auth/mfa/recovery-codes"),
        ):
            self.assert_forbidden(self.call(method, path, secret, {}), None)

    def test_a_wrong_body_names_the_field(self) -> None:
        unfit: tuple[Any, ...] = (None, 123456, [], {}, "", "x" * 2000, "a\x00b", "\ud800")
        for path, good in (
            ("/auth/mfa/enrol", {"current_password": PASSWORD}),
            ("/auth/mfa/confirm", {"code": "123456"}),
            ("/auth/mfa/recovery-codes", {"code": "123456"}),
        ):
            self.assert_invalid(self.post(path, self.olga, {**good, "otp": 1}), "otp")
            for field in good:
                for value in unfit:
                    self.assert_invalid(self.post(path, self.olga, {**good, field: value}), field)
                self.assert_invalid(self.post(path, self.olga, {}), field)
        self.assert_invalid(self.delete_with(self.olga, {}), "code", "current_password")

    def test_the_database_keeps_one_factor_of_each_kind(self) -> None:
        self.enrolled(self.olga)
        for confirmed_at in (timezone.now(), None):
            TotpFactor.objects.filter(confirmed_at=None).delete()
            row = {"user": self.olga, "key_id": "k", "sealed": b"x", "confirmed_at": confirmed_at}
            if confirmed_at is None:
                TotpFactor.objects.create(**row)
            with pytest.raises(IntegrityError), transaction.atomic():
                TotpFactor.objects.create(**row)

    def test_a_fault_undoes_all_of_a_confirmation(self) -> None:
        phone = self.proposed(self.olga)
        with mock.patch("authn.mfa.factors.audit.record", side_effect=RuntimeError):
            self.error(self.confirm(self.olga, phone.code()), 500)
        assert self.status(self.olga)["enabled"] is False
        self.data(self.confirm(self.olga, phone.code()))


class MfaResetTests(ApiTestCase):
    def test_a_reset_ends_every_session_and_leaves_the_password_alone(self) -> None:
        phone = enrol(self.olga)
        token = self.sign_in(self.olga).access_token
        User.objects.filter(pk=self.olga.pk).update(email="olga@example.com")
        with self.captureOnCommitCallbacks(execute=True):
            assert factors.reset(self.olga, "phone lost, seen in person") is True
        self.assert_unauthorized(self.get("/auth/me", token))
        body = {"document": self.olga.document, "password": PASSWORD}
        assert self.post("/auth/login", None, body).status_code == 200
        assert not RecoveryCode.objects.spend(self.olga, phone.recovery_codes[0])
        event = AuditEvent.objects.get(kind=Kind.MFA_RESET)
        assert (event.object_id, event.after) == (
            self.olga.id,
            {"reason": "phone lost, seen in person"},
        )
        assert [m.subject for m in mail.outbox] == ["Two-factor sign-in is off at FluxiQ"]

    def test_a_challenge_does_not_outlive_it(self) -> None:
        phone = enrol(self.olga)
        body = {"document": self.olga.document, "password": PASSWORD}
        challenge = self.error(self.post("/auth/login", None, body), 403)["challenge"]
        factors.reset(self.olga)
        finish = {"challenge": challenge, "code": phone.code()}
        assert self.post("/auth/login/mfa", None, finish).status_code == 401

    def test_without_a_factor_nothing_changes(self) -> None:
        token = self.sign_in(self.olga).access_token
        assert factors.reset(self.olga) is False
        assert self.get("/auth/me", token).status_code == 200
        assert not AuditEvent.objects.filter(kind=Kind.MFA_RESET).exists()
