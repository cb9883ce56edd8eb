"""POST /api/v1/auth/login of who has a second factor, and /api/v1/auth/login/mfa."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from authn import passwords
from authn.mfa import login
from authn.models import MfaChallenge, RecoveryCode, Session, TotpFactor
from authn.tests.mfa_sign_in import INVALID, NOT_LIMITED, MfaCase
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.errors import Unauthorized
from fluxiq.tests.factories import enrol


@NOT_LIMITED
class MfaLoginTests(MfaCase):
    def test_the_password_alone_gives_a_challenge_and_no_token(self) -> None:
        response = self.login(self.olga)
        error = self.error(response, 403)
        assert re.fullmatch(r"mfa_[A-Za-z0-9_-]{43}", error.pop("challenge"))
        assert error == {
            "code": "MFA_REQUIRED",
            "message": "A second factor is required. Finish at /auth/login/mfa with the challenge"
            " and a code",
            "expires_in": 300,
            "enrol_at": None,
        }
        assert response.headers["Cache-Control"] == "no-store"
        assert not Session.objects.exists()

    def test_challenge_and_code_give_the_pair_of_tokens(self) -> None:
        response = self.finish(self.challenge(), self.phone.code())
        pair = self.data(response)
        assert sorted(pair) == ["access_token", "expires_in", "refresh_token", "token_type"]
        assert response.headers["Cache-Control"] == "no-store"
        assert self.data(self.get("/auth/me", pair["access_token"]))["id"] == self.olga.id
        assert Session.objects.get().second_factor == "totp"
        event = AuditEvent.objects.get(kind=Kind.SESSION_STARTED)
        assert event.after == {"user_id": self.olga.id, "second_factor": "totp"}

    def test_the_session_is_refreshed_and_listed_like_any_other(self) -> None:
        pair = self.data(self.finish(self.challenge(), self.phone.code()))
        body = {"refresh_token": pair["refresh_token"]}
        renewed = self.data(self.post("/auth/refresh", None, body))
        (session,) = self.data(self.get("/auth/sessions", renewed["access_token"]))
        assert sorted(session) == [
            "address", "created_at", "current", "expires_at", "id", "last_used_at", "user_agent",
        ]  # fmt: skip

    def test_a_wrong_password_tells_nothing_of_the_second_factor(self) -> None:
        with_one, without = (
            self.post("/auth/login", None, {"document": user.document, "password": "wrong"})
            for user in (self.olga, self.ana)
        )
        assert with_one.status_code == 401
        assert with_one.content == without.content

    def test_every_fault_has_the_same_bytes(self) -> None:
        spent = self.challenge()
        assert self.finish(spent, self.phone.code()).status_code == 200
        with self.at(timezone.now() - timedelta(minutes=5, seconds=1)):
            expired = self.challenge()
        shut_out = enrol(self.mario)
        of_mario = self.challenge(self.mario)
        self.mario.deactivate()
        faults = {
            "unknown": self.finish("mfa_unknown", self.phone.code(1)),
            "expired": self.finish(expired, self.phone.code(1)),
            "spent": self.finish(spent, self.phone.code(1)),
            "wrong code": self.finish(self.challenge(), self.phone.wrong_code()),
            "no code": self.finish(self.challenge(), "what is that?"),
            "deactivated": self.finish(of_mario, shut_out.code()),
        }
        for fault, response in faults.items():
            assert response.status_code == 401, fault
            assert response.content == INVALID, fault
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert response.headers["Cache-Control"] == "no-store"
        assert Session.objects.live().count() == 1

    def test_a_wrong_code_leaves_the_challenge_and_a_dead_challenge_the_code(self) -> None:
        challenge = self.challenge()
        assert self.finish(challenge, self.phone.wrong_code()).content == INVALID
        assert self.finish("mfa_unknown", self.phone.code()).content == INVALID
        assert self.finish(challenge, self.phone.code()).status_code == 200

    def test_a_time_step_works_once_over_all_challenges(self) -> None:
        first, second = self.challenge(), self.challenge()
        code = self.phone.code()
        assert self.finish(first, code).status_code == 200
        assert self.finish(second, code).content == INVALID
        assert self.finish(second, self.phone.code(-1)).content == INVALID  # an older one
        assert self.finish(second, self.phone.code(1)).status_code == 200

    def test_a_challenge_is_good_for_five_minutes(self) -> None:
        challenge = self.challenge()
        with self.at(timezone.now() + timedelta(minutes=4, seconds=58)):
            assert self.finish(challenge, self.phone.code()).status_code == 200

    def test_a_challenge_is_its_users_alone(self) -> None:
        of_mario = enrol(self.mario)
        assert self.finish(self.challenge(), of_mario.code()).content == INVALID
        assert self.finish(self.challenge(self.mario), of_mario.code()).status_code == 200

    def test_a_challenge_dies_with_the_password(self) -> None:
        challenge = self.challenge()
        passwords.reset(self.olga, "another long password")
        assert self.finish(challenge, self.phone.code()).content == INVALID

    def test_a_challenge_is_no_credential(self) -> None:
        challenge = self.challenge()
        self.assert_unauthorized(self.get("/auth/me", challenge))
        body = {"refresh_token": challenge}
        self.assert_unauthorized(self.post("/auth/refresh", None, body))

    def test_neither_challenge_nor_code_is_stored(self) -> None:
        challenge = self.challenge()
        kept = bytes(MfaChallenge.objects.get().digest)
        assert challenge.encode() not in kept
        assert len(kept) == 32
        factor = TotpFactor.objects.get()
        assert self.phone.secret.encode() not in bytes(factor.sealed)
        assert factor.secret() == self.phone.secret
        stored = [bytes(code.digest) for code in RecoveryCode.objects.all()]
        assert len(stored) == 10
        for code in self.phone.recovery_codes:
            assert code.encode() not in stored

    def test_a_code_may_be_typed_with_spaces(self) -> None:
        code = self.phone.code()
        assert self.finish(self.challenge(), f" {code[:3]} {code[3:]} ").status_code == 200

    def test_a_recovery_code_serves_once(self) -> None:
        code = self.phone.recovery_codes[3]
        assert self.finish(self.challenge(), code.lower()).status_code == 200
        assert Session.objects.get().second_factor == "recovery_code"
        assert self.finish(self.challenge(), code).content == INVALID
        assert RecoveryCode.objects.filter(user=self.olga).count() == 9
        event = AuditEvent.objects.get(kind=Kind.RECOVERY_CODE_USED)
        assert (event.object_id, event.after) == (self.olga.id, {"left": 9})
        assert (event.actor_kind, event.actor_id) == ("user", self.olga.id)

    def test_the_use_of_a_recovery_code_is_mailed(self) -> None:
        User.objects.filter(pk=self.olga.pk).update(email="olga@example.com")
        with self.captureOnCommitCallbacks(execute=True):
            self.finish(self.challenge(), self.phone.recovery_codes[0])
        (message,) = mail.outbox
        assert message.to == ["olga@example.com"]
        assert "9 are left" in message.body
        assert self.phone.recovery_codes[0] not in message.body

    def test_a_recovery_code_of_another_serves_nobody(self) -> None:
        of_mario = enrol(self.mario)
        assert self.finish(self.challenge(), of_mario.recovery_codes[0]).content == INVALID
        assert RecoveryCode.objects.filter(user=self.mario).count() == 10

    def test_a_wrong_body_names_the_field(self) -> None:
        good = {"challenge": self.challenge(), "code": self.phone.code()}
        unfit: tuple[Any, ...] = (None, 123456, True, [], {}, "", "x" * 500, "a\x00b", "\ud800")
        for field in good:
            for value in unfit:
                response = self.post("/auth/login/mfa", None, {**good, field: value})
                self.assert_invalid(response, field)
        self.assert_invalid(self.post("/auth/login/mfa", None, {**good, "otp": "1"}), "otp")
        assert self.finish(**good).status_code == 200

    def test_a_secret_moves_to_the_newest_key_on_use(self) -> None:
        newer = f"test-2:{'n' * 32},{self.ring}"
        with override_settings(MFA_KEYS=newer):
            assert self.finish(self.challenge(), self.phone.code()).status_code == 200
            assert TotpFactor.objects.get().key_id == "test-2"
        with override_settings(MFA_KEYS=f"test-2:{'n' * 32}"):
            assert self.finish(self.challenge(), self.phone.code(1)).status_code == 200

    ring = "test-1:sealing-key-of-the-tests-alone-0123456789"

    def test_a_key_that_is_gone_is_our_fault_and_no_wrong_code(self) -> None:
        challenge = self.challenge()
        with override_settings(MFA_KEYS=f"other:{'n' * 32}"):
            for _ in range(6):
                response = self.finish(challenge, self.phone.code())
                error = self.error(response, 503)
                assert error["code"] == "SERVICE_UNAVAILABLE"
                assert error["request_id"] == response.headers["X-Request-ID"]
            assert self.finish(challenge, self.phone.recovery_codes[0]).status_code == 200

    def test_who_enrols_between_password_and_session_gets_none(self) -> None:
        before = User.objects.get(pk=self.ana.pk)
        enrol(self.ana)
        with pytest.raises(Unauthorized):
            login.begin(before)
        assert not Session.objects.filter(user=self.ana).exists()

    def test_who_is_shut_out_between_password_and_session_gets_none(self) -> None:
        before = User.objects.get(pk=self.ana.pk)
        self.ana.deactivate()
        with pytest.raises(Unauthorized):
            login.begin(before)

    def test_a_sign_in_without_a_second_factor_costs_one_query_more(self) -> None:
        with CaptureQueriesContext(connection) as queries:
            assert self.login(self.ana).status_code == 200
        asked = [
            q["sql"] for q in queries if q["sql"].startswith("SELECT") and "audit" not in q["sql"]
        ]
        assert len(asked) == 2, asked  # by document, and the lock
        assert not any("mfachallenge" in q or "totpfactor" in q for q in asked)
