"""How often a code of a second factor may be guessed, and who is told of it."""

from unittest import mock

from django.core import mail
from django.utils import timezone

from accounts.models import User
from authn import passwords
from authn.models import RecoveryCode
from authn.tests.mfa_sign_in import INVALID, NOT_LIMITED, MfaCase
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.tests.factories import PASSWORD, enrol


@NOT_LIMITED
class MfaThrottleTests(MfaCase):
    HERE, ELSEWHERE = "203.0.113.1", "198.51.100.2"

    def guess(self, times: int) -> None:
        for n in range(times):
            address = (self.HERE, self.ELSEWHERE)[n % 2]
            response = self.finish(self.challenge(), self.phone.wrong_code(), REMOTE_ADDR=address)
            assert response.content == INVALID

    def test_five_wrong_codes_over_challenges_and_addresses_lock_the_sixth_out(self) -> None:
        self.guess(5)
        for code in (self.phone.code(), self.phone.recovery_codes[0], self.phone.wrong_code()):
            response = self.finish(self.challenge(), code, REMOTE_ADDR="192.0.2.7")
            error = self.error(response, 429)
            assert 1 <= error["retry_after"] <= 900
            assert response.headers["X-RateLimit-Limit"] == "5"
            assert response.headers["X-RateLimit-Remaining"] == "0"
        assert RecoveryCode.objects.filter(user=self.olga).count() == 10

    def test_the_password_still_gives_a_challenge_and_others_are_not_locked_out(self) -> None:
        of_mario = enrol(self.mario)
        self.guess(5)
        assert self.challenge()
        assert self.finish(self.challenge(self.mario), of_mario.code()).status_code == 200

    def test_codes_with_a_dead_challenge_are_no_attempts(self) -> None:
        dead = self.challenge()
        passwords.reset(self.olga, PASSWORD)
        for _ in range(6):
            assert self.finish(dead, self.phone.wrong_code()).content == INVALID
        assert self.finish(self.challenge(), self.phone.code()).status_code == 200

    def test_a_success_is_no_failure(self) -> None:
        self.guess(4)
        for code in self.phone.recovery_codes[:8]:
            assert self.finish(self.challenge(), code).status_code == 200
        self.guess(1)
        self.error(self.finish(self.challenge(), self.phone.code()), 429)

    def test_the_window_ends(self) -> None:
        self.guess(5)
        challenge = self.challenge()
        wait = int(self.finish(challenge, self.phone.code()).headers["Retry-After"])
        with mock.patch("time.time", return_value=timezone.now().timestamp() + wait + 1):
            assert self.finish(challenge, self.phone.code()).status_code == 200

    def test_codes_at_the_other_endpoints_count_too(self) -> None:
        pair = self.data(self.finish(self.challenge(), self.phone.code()))
        body = {"code": self.phone.wrong_code()}
        for _ in range(5):
            response = self.post("/auth/mfa/recovery-codes", pair["access_token"], body)
            self.assert_invalid(response, "code")
        self.error(self.finish(self.challenge(), self.phone.code(1)), 429)

    def test_a_fault_of_ours_is_no_failure_of_theirs(self) -> None:
        challenge = self.challenge()
        with mock.patch("authn.models.mfa.totp.matching_step", side_effect=RuntimeError):
            for _ in range(6):
                self.error(self.finish(challenge, self.phone.code()), 500)
        assert self.finish(challenge, self.phone.code()).status_code == 200

    def test_the_fifth_wrong_code_is_audited_and_mailed_once(self) -> None:
        User.objects.filter(pk=self.olga.pk).update(email="olga@example.com")
        with self.captureOnCommitCallbacks(execute=True):
            self.guess(5)
            self.finish(self.challenge(), self.phone.wrong_code())
        event = AuditEvent.objects.get(kind=Kind.MFA_GUESSED)
        assert (event.object_id, event.after) == (self.olga.id, {"failures": 5})
        (message,) = mail.outbox
        assert "change it now" in message.body
