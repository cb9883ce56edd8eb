"""POST /api/v1/auth/introspect (RFC 7662) and /auth/revoke (RFC 7009)."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.utils import timezone

from authn import keys
from authn.models import ApiKey, Session
from authn.tests.tokens import part
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import issue_key

FORM = "application/x-www-form-urlencoded"


class IntrospectTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.service_key, self.service = ApiKey.objects.issue_service_key(name="pix service")
        self.pair = self.sign_in(self.mario)

    def introspect(self, caller: Any, token: str, **extra: Any) -> Any:
        response = self.post("/auth/introspect", caller, {"token": token}, **extra)
        assert response.status_code == 200, response.content
        assert response.headers["Cache-Control"] == "no-store"
        return json.loads(response.content)

    def test_a_service_key_learns_what_an_access_token_is_worth(self) -> None:
        claims = part(self.pair.access_token, 1)
        assert self.introspect(self.service, self.pair.access_token) == {
            "active": True,
            "sub": self.mario.id,
            "scope": "accounts:read accounts:write pix:read pix:write transactions:read",
            "token_type": "Bearer",
            "iat": claims["iat"],
            "exp": claims["exp"],
            "kind": "user",
            "merchant_ids": [self.bakery.id],
        }

    def test_a_service_key_learns_what_an_api_key_is_worth(self) -> None:
        api_key, secret = issue_key(self.bakery, "pix:write")
        told = self.introspect(self.service, secret)
        assert told == {
            "active": True,
            "sub": api_key.id,
            "scope": "pix:write",
            "token_type": "Bearer",
            "iat": int(api_key.created_at.timestamp()),
            "kind": "api_key",
            "merchant_ids": [self.bakery.id],
        }

    def test_a_key_that_expires_says_when(self) -> None:
        moment = timezone.now() + timedelta(days=1)
        _, secret = issue_key(self.bakery, expires_at=moment)
        assert self.introspect(self.service, secret)["exp"] == int(moment.timestamp())

    def test_a_form_is_read_as_well_as_json(self) -> None:
        body = urlencode({"token": self.pair.access_token, "token_type_hint": "access_token"})
        response = self.post("/auth/introspect", self.service, body, content_type=FORM)
        assert json.loads(response.content)["active"] is True

    def test_an_empty_hint_is_ignored_as_any_other(self) -> None:
        body = {"token": self.pair.access_token, "token_type_hint": ""}
        assert self.data(self.post("/auth/revoke", None, {**body, "token": "unknown"})) == {}
        for sent, kind in ((body, "application/json"), (urlencode(body), FORM)):
            response = self.post("/auth/introspect", self.service, sent, content_type=kind)
            assert json.loads(response.content)["active"] is True

    def test_what_is_dead_or_unknown_is_inactive_alone(self) -> None:
        revoked, secret = issue_key(self.bakery)
        revoked.revoke()
        ended = self.sign_in(self.otto)
        Session.objects.filter(user=self.otto).end("a test")
        for token in (
            secret, ended.access_token, self.pair.refresh_token, "rubbish", "sk_live_x",
            self.pair.access_token[:-2] + "AA", "sk_test_" + "0" * 38,
        ):  # fmt: skip
            assert self.introspect(self.service, token) == {"active": False}

    def test_a_suspended_merchants_key_is_inactive(self) -> None:
        _, secret = issue_key(self.bakery)
        self.bakery.suspend()
        assert self.introspect(self.service, secret) == {"active": False}

    def test_others_learn_of_their_own_tokens_alone(self) -> None:
        _, secret = issue_key(self.bakery)
        assert self.introspect(self.mario, self.pair.access_token)["active"] is True
        assert self.introspect(secret, secret)["active"] is True
        assert self.introspect(self.otto, self.pair.access_token) == {"active": False}
        assert self.introspect(self.root, self.pair.access_token) == {"active": False}
        assert self.introspect(self.olga, secret) == {"active": False}
        assert self.introspect(secret, self.service) == {"active": False}

    def test_asking_does_not_count_as_using_the_key(self) -> None:
        api_key, secret = issue_key(self.bakery)
        self.introspect(self.service, secret)
        api_key.refresh_from_db()
        assert api_key.last_used_at is None

    def test_no_credential_is_401(self) -> None:
        self.assert_unauthorized(self.post("/auth/introspect", None, {"token": "x"}))

    def test_a_token_in_the_url_is_refused(self) -> None:
        response = self.post(f"/auth/introspect?token={self.pair.access_token}", self.service)
        self.assert_invalid(response, "token")

    def test_an_unfit_body_is_refused(self) -> None:
        for body in ({}, {"token": 5}, {"token": None}, {"token": ""}, {"token": ["x"]}):
            self.assert_invalid(self.post("/auth/introspect", self.service, body), "token")
        self.assert_invalid(
            self.post("/auth/introspect", self.service, {"token": "x", "tokn": "y"}), "tokn"
        )

    def test_a_service_key_has_a_limit_of_its_own(self) -> None:
        response = self.post("/auth/introspect", self.service, {"token": "x"})
        assert response.headers["X-RateLimit-Limit"] == "10000"

    def test_a_service_key_reads_no_merchants_data(self) -> None:
        self.assert_forbidden(self.get("/accounts", self.service), "accounts:read")
        self.assert_forbidden(self.get("/users", self.service), "users:read")
        assert self.data(self.get("/merchants", self.service)) == []


class RevokeTests(ApiTestCase):
    def revoke(self, token: str, **extra: Any) -> None:
        response = self.post("/auth/revoke", None, {"token": token}, **extra)
        assert response.status_code == 200
        self.forget_counts()

    def test_who_holds_a_key_may_kill_it(self) -> None:
        _, secret = issue_key(self.bakery)
        self.revoke(secret)
        self.assert_unauthorized(self.get("/accounts", secret))

    def test_an_access_or_refresh_token_ends_its_session(self) -> None:
        for kind in ("access_token", "refresh_token"):
            pair = self.sign_in(self.olga)
            self.revoke(getattr(pair, kind))
            self.assert_unauthorized(self.get("/auth/me", pair.access_token))
            body = {"refresh_token": pair.refresh_token}
            self.assert_unauthorized(self.post("/auth/refresh", None, body))

    def test_nothing_is_told_of_what_was_found(self) -> None:
        _, secret = issue_key(self.bakery)
        answers = {
            self.post("/auth/revoke", None, {"token": token}).content
            for token in (
                secret,
                secret,
                "rubbish",
                "sk_live_" + "0" * 38,
                "a.b.c",
                keys.generate("live"),
            )
        }
        assert len(answers) == 1

    def test_a_form_is_read(self) -> None:
        _, secret = issue_key(self.bakery)
        body = urlencode({"token": secret, "token_type_hint": "access_token"})
        assert self.post("/auth/revoke", None, body, content_type=FORM).status_code == 200
        self.assert_unauthorized(self.get("/accounts", secret))

    def test_a_token_that_is_not_authentic_ends_nothing(self) -> None:
        pair = self.sign_in(self.olga)
        self.revoke(pair.access_token[:-4] + "AAAA")
        assert self.get("/auth/me", pair.access_token).status_code == 200
