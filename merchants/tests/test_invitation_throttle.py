"""How often the acceptance of an invitation may be guessed: as often as a password."""

from datetime import datetime
from typing import Any
from unittest import mock

from accounts.models import User
from fluxiq.tests.factories import PASSWORD
from merchants.tests.invitations import ACCEPT, MANY, NINA, InvitationTestCase


@MANY
class ThrottleTests(InvitationTestCase):
    def try_wrong(self, times: int, document: str = NINA) -> None:
        for _ in range(times):
            self.assert_refused(self.accept("inv_" + "x" * 43, document))

    def assert_throttled(self, response: Any) -> None:
        error = self.error(response, 429)
        assert error["code"] == "RATE_LIMITED"
        wait = error["retry_after"]
        assert 1 <= wait <= 900
        assert error["message"] == f"Rate limit exceeded. Retry after {wait} seconds"
        assert response.headers["Retry-After"] == str(wait)
        assert response.headers["X-RateLimit-Limit"] == "5"
        assert response.headers["X-RateLimit-Remaining"] == "0"
        end = int(response.headers["X-RateLimit-Reset"])
        assert abs(end - wait - int(datetime.now().astimezone().timestamp())) <= 1

    def test_after_five_failures_even_the_right_one_waits(self) -> None:
        secret = self.invitation()
        self.try_wrong(5)
        self.assert_throttled(self.accept(secret))
        assert not User.objects.filter(document=NINA).exists()
        assert self.invited().status == "invited"

    def test_after_four_it_is_still_taken(self) -> None:
        secret = self.invitation()
        self.try_wrong(4)
        assert self.accept(secret).status_code == 200

    def test_punctuation_makes_no_other_document(self) -> None:
        secret = self.invitation()
        self.try_wrong(3)
        self.try_wrong(2, "987.654.321-00")
        self.assert_throttled(self.accept(secret, " 987.654.321-00 "))

    def test_another_document_is_not_throttled(self) -> None:
        self.try_wrong(5, "55566677788")
        assert self.accept(self.invitation()).status_code == 200

    def test_another_address_is_not_throttled(self) -> None:
        secret = self.invitation()
        self.try_wrong(5)
        body = {"invitation": secret, "document": NINA, "password": PASSWORD}
        response = self.post(ACCEPT, None, body, REMOTE_ADDR="203.0.113.9")
        assert response.status_code == 200

    def test_it_is_the_throttle_of_signing_in(self) -> None:
        self.try_wrong(5, self.ana.document)
        body = {"document": self.ana.document, "password": PASSWORD}
        self.assert_throttled(self.post("/auth/login", None, body))

    def test_wrong_passwords_of_a_known_document_count_too(self) -> None:
        secret = self.invitation(document=self.ana.document)
        for _ in range(5):
            self.assert_refused(self.accept(secret, self.ana.document, "a wrong password"))
        self.assert_throttled(self.accept(secret, self.ana.document))

    def test_it_answers_before_any_hashing(self) -> None:
        self.try_wrong(5)
        hashed = mock.Mock(side_effect=AssertionError("hashed"))
        with (
            mock.patch("authn.invitations.make_password", hashed),
            mock.patch("accounts.models.User.check_password", hashed),
            mock.patch("accounts.models.User.set_password", hashed),
        ):
            self.assert_throttled(self.accept("inv_" + "x" * 43))

    def test_a_weak_password_and_a_malformed_body_are_no_failures(self) -> None:
        secret = self.invitation()
        for _ in range(6):
            self.assert_invalid(self.accept(secret, password="short"), "password")
            self.assert_invalid(
                self.post(ACCEPT, None, {"document": NINA}), "invitation", "password"
            )
        assert self.accept(secret).status_code == 200

    def test_a_success_is_given_back(self) -> None:
        for number in range(7):
            document = f"3000000000{number}"
            secret = self.invitation(document=document)
            assert self.accept(secret, document).status_code == 200
        self.try_wrong(4, "30000000000")
        body = {"document": "30000000000", "password": PASSWORD}
        assert self.post("/auth/login", None, body).status_code == 200

    def test_a_refusal_costs_a_hash_whichever_it_is(self) -> None:
        secret = self.invitation(document=self.ana.document)
        with mock.patch("authn.invitations.make_password", wraps=lambda _: "") as hashing:
            self.try_wrong(1)
            assert hashing.call_count == 1
        with mock.patch("accounts.models.User.check_password", return_value=False) as checking:
            self.assert_refused(self.accept(secret, self.ana.document, "a wrong password"))
            assert checking.call_count == 1
