"""POST /api/v1/auth/refresh: rotation, lost responses, theft."""

from datetime import timedelta
from typing import Any

from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from authn.models import Session
from authn.tests.tokens import part
from authn.tokens import RefreshToken
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.tests.base import ApiTestCase

MAX_STATEMENTS = 5


class RefreshTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.pair = self.sign_in(self.olga)

    def refresh(self, token: Any) -> Any:
        return self.post("/auth/refresh", None, {"refresh_token": token})

    def renewed(self, token: str) -> dict[str, Any]:
        pair: dict[str, Any] = self.data(self.refresh(token))
        return pair

    def later(self, **delta: float) -> Any:
        return self.at(timezone.now() + timedelta(**delta))

    def test_a_refresh_gives_a_new_pair_of_the_same_session(self) -> None:
        new = self.renewed(self.pair.refresh_token)
        assert new["refresh_token"] != self.pair.refresh_token
        old_claims, claims = part(self.pair.refresh_token, 1), part(new["refresh_token"], 1)
        assert claims["sid"] == old_claims["sid"]
        assert claims["jti"] != old_claims["jti"]
        assert self.get("/auth/me", new["access_token"]).status_code == 200

    def test_the_older_access_token_goes_on_until_it_expires(self) -> None:
        self.renewed(self.pair.refresh_token)
        assert self.get("/auth/me", self.pair.access_token).status_code == 200

    def test_rotation_blacklists_the_token_that_it_retires(self) -> None:
        self.renewed(self.pair.refresh_token)
        retired = BlacklistedToken.objects.get().token
        assert retired.jti == part(self.pair.refresh_token, 1)["jti"]

    def test_a_lost_response_gets_the_same_successor_again(self) -> None:
        first = self.renewed(self.pair.refresh_token)
        second = self.renewed(self.pair.refresh_token)
        assert first["refresh_token"] == second["refresh_token"]
        assert OutstandingToken.objects.count() == 2

    def test_a_retired_token_after_the_window_ends_the_session(self) -> None:
        new = self.renewed(self.pair.refresh_token)
        with self.later(seconds=11):
            self.assert_unauthorized(self.refresh(self.pair.refresh_token))
        self.assert_unauthorized(self.get("/auth/me", new["access_token"]))
        self.assert_unauthorized(self.refresh(new["refresh_token"]))
        assert Session.objects.get().ended_reason == "refresh token reused"

    def test_a_retired_token_whose_successor_was_used_ends_the_session(self) -> None:
        new = self.renewed(self.pair.refresh_token)
        newest = self.renewed(new["refresh_token"])
        self.assert_unauthorized(self.refresh(self.pair.refresh_token))
        for token in (new["refresh_token"], newest["refresh_token"]):
            self.assert_unauthorized(self.refresh(token))

    def test_theft_is_audited_with_the_session_and_where_it_was_tried(self) -> None:
        self.renewed(self.renewed(self.pair.refresh_token)["refresh_token"])
        self.post(
            "/auth/refresh",
            None,
            {"refresh_token": self.pair.refresh_token},
            REMOTE_ADDR="203.0.113.66",
            HTTP_USER_AGENT="thief/1.0",
        )
        event = AuditEvent.objects.get(kind=Kind.SESSION_REUSE_DETECTED)
        assert event.object_id == Session.objects.get().id
        assert (event.address, event.user_agent) == ("203.0.113.66", "thief/1.0")

    def test_a_token_of_a_session_that_was_logged_out_is_no_theft(self) -> None:
        new = self.renewed(self.pair.refresh_token)
        self.post("/auth/logout", new["access_token"])
        with self.later(seconds=60):
            self.assert_unauthorized(self.refresh(self.pair.refresh_token))
            self.assert_unauthorized(self.refresh(new["refresh_token"]))
        assert not AuditEvent.objects.filter(kind=Kind.SESSION_REUSE_DETECTED).exists()

    @override_settings(REFRESH_REUSE_SECONDS=0)
    def test_without_a_window_every_reuse_is_theft(self) -> None:
        self.renewed(self.pair.refresh_token)
        self.assert_unauthorized(self.refresh(self.pair.refresh_token))
        assert Session.objects.get().ended_at is not None

    def test_an_expired_token_is_refused_and_no_theft(self) -> None:
        claims = part(self.pair.refresh_token, 1)
        self.renewed(self.pair.refresh_token)
        expired = RefreshToken()
        expired.bind(
            session_id=claims["sid"],
            user_id=claims["sub"],
            jti=claims["jti"],
            issued_at=timezone.now() - timedelta(days=8),
            expires_at=timezone.now() - timedelta(days=1),
        )
        self.assert_unauthorized(self.refresh(str(expired)))
        assert Session.objects.get().ended_at is None

    def test_an_access_token_does_not_refresh(self) -> None:
        self.assert_unauthorized(self.refresh(self.pair.access_token))

    def test_a_refresh_token_does_not_authenticate(self) -> None:
        self.assert_unauthorized(self.get("/auth/me", self.pair.refresh_token))

    def test_rubbish_is_refused(self) -> None:
        for rubbish in ("x", "a.b.c", "sk_live_" + "0" * 38, self.pair.refresh_token + "x"):
            self.assert_unauthorized(self.refresh(rubbish))

    def test_a_deactivated_user_cannot_refresh(self) -> None:
        self.olga.deactivate()
        self.assert_unauthorized(self.refresh(self.pair.refresh_token))

    def test_a_success_counts_to_its_user_and_a_failure_to_the_address(self) -> None:
        good = self.refresh(self.pair.refresh_token)
        assert good.headers["X-RateLimit-Limit"] == "100"
        assert good.headers["X-RateLimit-Remaining"] == "99"
        bad = self.refresh("rubbish")
        assert bad.headers["X-RateLimit-Limit"] == "10"
        assert bad.headers["X-RateLimit-Remaining"] == "9"

    def test_a_token_of_an_ended_session_counts_to_the_address(self) -> None:
        self.post("/auth/logout", self.pair.access_token)
        self.forget_counts()
        for _ in range(3):
            dead = self.refresh(self.pair.refresh_token)
            assert dead.headers["X-RateLimit-Limit"] == "10"
        assert self.get("/auth/me", self.olga).headers["X-RateLimit-Remaining"] == "99"

    def test_near_its_end_a_session_cuts_the_tokens_short(self) -> None:
        with override_settings(SESSION_MAX_AGE=1000):
            pair = self.sign_in(self.mario)
            assert part(pair.refresh_token, 1)["exp"] - part(pair.refresh_token, 1)["iat"] == 1000
            with self.later(seconds=600):
                new = self.data(self.refresh(pair.refresh_token))
            assert 398 <= new["expires_in"] <= 400
            with self.later(seconds=1001):
                self.assert_unauthorized(self.refresh(new["refresh_token"]))

    def test_a_refresh_takes_few_statements(self) -> None:
        with CaptureQueriesContext(connection) as captured:
            self.renewed(self.pair.refresh_token)
        statements = [q["sql"] for q in captured if not q["sql"].startswith(("SAVE", "RELEASE"))]
        assert len(statements) <= MAX_STATEMENTS, statements
