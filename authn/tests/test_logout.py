"""POST /api/v1/auth/logout."""

from datetime import timedelta
from unittest import mock

from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken

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
        with mock.patch("authn.sessions.ACCESS_LIFETIME", timedelta(hours=-1)):
            expired = sessions.start(self.mario).access_token
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
