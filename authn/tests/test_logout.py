"""POST /api/v1/auth/logout."""

from datetime import timedelta
from unittest import mock

from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken

from accounts.models import User
from authn import sessions
from authn.models import Session
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import issue_key


class LogoutTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.pair = self.sign_in(self.olga)

    def test_both_tokens_are_refused_at_the_next_request(self) -> None:
        response = self.post("/auth/logout", self.pair.access_token)
        assert (response.status_code, response.content) == (204, b"")
        self.assert_unauthorized(self.get("/auth/me", self.pair.access_token))
        body = {"refresh_token": self.pair.refresh_token}
        self.assert_unauthorized(self.post("/auth/refresh", None, body))

    def test_logout_blacklists_the_refresh_token(self) -> None:
        session = Session.objects.get()
        self.post("/auth/logout", self.pair.access_token)
        assert BlacklistedToken.objects.get().token_id == session.current_id

    def test_other_sessions_of_the_user_go_on(self) -> None:
        other = self.sign_in(self.olga)
        self.post("/auth/logout", self.pair.access_token)
        assert self.get("/auth/me", other.access_token).status_code == 200

    def test_logging_out_twice_is_204_and_audited_once(self) -> None:
        for _ in range(2):
            assert self.post("/auth/logout", self.pair.access_token).status_code == 204
        assert AuditEvent.objects.filter(kind=Kind.SESSION_ENDED).count() == 1

    def test_an_authentic_but_expired_token_works(self) -> None:
        expired = self.expired(self.mario)
        self.assert_unauthorized(self.get("/auth/me", expired))
        assert self.post("/auth/logout", expired).status_code == 204
        assert Session.objects.get(user=self.mario).ended_at is not None

    def test_a_body_is_ignored(self) -> None:
        response = self.call("POST", "/auth/logout", self.pair.access_token, b"{not json")
        assert response.status_code == 204

    def test_what_is_no_access_token_of_ours_is_refused(self) -> None:
        tampered = self.pair.access_token[:-4] + "AAAA"
        for credential in (None, tampered, self.pair.refresh_token, "sk_live_" + "0" * 38):
            self.assert_unauthorized(self.post("/auth/logout", credential))
        assert Session.objects.get().ended_at is None

    def test_a_key_is_the_wrong_kind_of_credential(self) -> None:
        _, secret = issue_key(self.bakery)
        self.assert_forbidden(self.post("/auth/logout", secret), None)

    def test_it_counts_to_the_user(self) -> None:
        response = self.post("/auth/logout", self.pair.access_token)
        assert response.headers["X-RateLimit-Limit"] == "100"

    def test_an_expired_token_of_a_live_session_counts_to_the_user(self) -> None:
        response = self.post("/auth/logout", self.expired(self.mario))
        assert response.headers["X-RateLimit-Limit"] == "100"

    def test_a_token_of_an_ended_session_counts_to_the_address(self) -> None:
        self.post("/auth/logout", self.pair.access_token)
        other = self.sign_in(self.olga).access_token
        left = self.user_requests_left(other)
        for _ in range(3):
            response = self.post("/auth/logout", self.pair.access_token)
            assert response.status_code == 204
            assert response.headers["X-RateLimit-Limit"] == "10"
        assert self.user_requests_left(other) == left - 1

    def test_after_the_addresses_limit_a_token_of_an_ended_session_is_429(self) -> None:
        for _ in range(11):
            assert self.post("/auth/logout", self.pair.access_token).status_code == 204
        self.error(self.post("/auth/logout", self.pair.access_token), 429)

    def test_every_token_whose_session_is_over_counts_to_the_address(self) -> None:
        expired, foreign = self.expired(self.mario), self.sign_in(self.ana).access_token
        run_out, left = self.sign_in(self.otto).access_token, self.sign_in(self.root).access_token
        Session.objects.filter(user=self.mario).end("over")
        Session.objects.filter(user=self.otto).update(expires_at=timezone.now())
        Session.objects.filter(user=self.ana).update(user=self.olga)
        User.objects.filter(pk=self.root.pk).update(is_active=False)
        for dead in (expired, run_out, foreign, left):
            assert self.post("/auth/logout", dead).headers["X-RateLimit-Limit"] == "10"

    def expired(self, user: User) -> str:
        """An access token of a live session, past its own time."""
        with mock.patch("authn.sessions.ACCESS_LIFETIME", timedelta(hours=-1)):
            return sessions.start(user).access_token

    def user_requests_left(self, token: str) -> int:
        """What is left in the user's bucket after this request."""
        return int(self.get("/auth/me", token).headers["X-RateLimit-Remaining"])
