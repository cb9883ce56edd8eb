"""The buckets, and the headers on every response under /api/."""

import sqlite3
import time
from typing import Any
from unittest import mock

from django.db import OperationalError
from django.test import override_settings

from fluxiq.addresses import parse_networks
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import issue_key

HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


def left(response: Any) -> tuple[int, int]:
    """(limit, remaining) as the response tells."""
    return tuple(int(response.headers[name]) for name in HEADERS[:2])  # type: ignore[return-value]


class BucketTests(ApiTestCase):
    def test_a_key_has_a_thousand(self) -> None:
        _, secret = issue_key(self.bakery)
        assert left(self.get("/accounts", secret)) == (1000, 999)
        assert left(self.get("/accounts", secret)) == (1000, 998)

    def test_keys_of_one_merchant_count_apart(self) -> None:
        (_, one), (_, other) = issue_key(self.bakery), issue_key(self.bakery)
        self.get("/accounts", one)
        assert left(self.get("/accounts", other)) == (1000, 999)

    def test_a_user_has_a_hundred_over_all_of_their_tokens(self) -> None:
        first, second = self.sign_in(self.olga), self.sign_in(self.olga)
        assert left(self.get("/auth/me", first.access_token)) == (100, 99)
        assert left(self.get("/auth/me", second.access_token)) == (100, 98)

    def test_an_address_has_ten_and_the_eleventh_is_429(self) -> None:
        for n in range(10):
            response = self.get("/auth/me")
            self.assert_unauthorized(response)
            assert left(response) == (10, 9 - n)
        response = self.get("/auth/me")
        error = self.error(response, 429)
        assert error["code"] == "RATE_LIMITED"
        assert 1 <= error["retry_after"] <= 60
        assert response.headers["Retry-After"] == str(error["retry_after"])
        assert left(response) == (10, 0)

    def test_reset_is_when_a_request_is_admitted_again(self) -> None:
        for _ in range(10):
            self.get("/auth/me")
        response = self.get("/auth/me")
        reset = int(response.headers["X-RateLimit-Reset"])
        now = time.time()
        assert abs(reset - int(now) - int(response.headers["Retry-After"])) <= 1
        with mock.patch("time.time", return_value=float(reset) - 0.001):
            assert self.get("/auth/me").status_code == 429
        with mock.patch("time.time", return_value=float(reset)):
            assert left(self.get("/auth/me")) == (10, 9)

    def test_addresses_count_apart_and_an_ipv6_network_as_one(self) -> None:
        for n in range(10):
            self.get("/auth/me", REMOTE_ADDR=f"2001:db8::{n:x}")
        assert self.get("/auth/me", REMOTE_ADDR="2001:db8::ffff:1").status_code == 429
        assert self.get("/auth/me", REMOTE_ADDR="2001:db8:0:1::1").status_code == 401
        assert left(self.get("/auth/me", REMOTE_ADDR="203.0.113.1")) == (10, 9)
        assert left(self.get("/auth/me", REMOTE_ADDR="::ffff:203.0.113.1")) == (10, 8)

    def test_forwarded_addresses_of_a_stranger_are_not_believed(self) -> None:
        for n in range(10):
            self.get("/auth/me", HTTP_X_FORWARDED_FOR=f"192.0.2.{n}")
        assert self.get("/auth/me", HTTP_X_FORWARDED_FOR="192.0.2.99").status_code == 429

    def test_forwarded_addresses_of_a_trusted_proxy_count_apart(self) -> None:
        with override_settings(TRUSTED_PROXIES=parse_networks(["127.0.0.0/8"])):
            assert left(self.get("/auth/me", HTTP_X_FORWARDED_FOR="192.0.2.1")) == (10, 9)
            assert left(self.get("/auth/me", HTTP_X_FORWARDED_FOR="192.0.2.2")) == (10, 9)
            spoofed = "192.0.2.9, 192.0.2.1"
            assert left(self.get("/auth/me", HTTP_X_FORWARDED_FOR=spoofed)) == (10, 8)

    def test_a_bad_credential_counts_to_the_address(self) -> None:
        _, secret = issue_key(self.bakery)
        for bad in ("sk_live_" + "0" * 38, "x.y.z", secret[:-1]):
            assert left(self.get("/accounts", bad))[0] == 10
        assert left(self.get("/accounts", secret)) == (1000, 999)

    def test_an_exhausted_address_does_not_shut_out_a_good_credential(self) -> None:
        for _ in range(12):
            self.get("/auth/me")
        assert self.get("/auth/me", self.olga).status_code == 200
        pair = self.sign_in(self.olga)
        body = {"refresh_token": pair.refresh_token}
        assert self.post("/auth/refresh", None, body).status_code == 200

    def test_a_keys_own_limit_goes_before_the_default(self) -> None:
        api_key, secret = issue_key(self.bakery, rate_limit=2)
        assert left(self.get("/accounts", secret)) == (2, 1)
        self.get("/accounts", secret)
        assert self.get("/accounts", secret).status_code == 429
        api_key.change({"rate_limit": 5})
        assert left(self.get("/accounts", secret)) == (5, 1)  # what was counted stays counted

    def test_a_request_over_the_limit_does_nothing(self) -> None:
        _, secret = issue_key(self.bakery, "accounts:write", rate_limit=1)
        assert self.post("/accounts", secret, {"name": "One"}).status_code == 201
        assert self.post("/accounts", secret, {"name": "Two"}).status_code == 429
        assert self.bakery.accounts.count() == 2  # the till, and the one

    def test_a_refresh_over_the_users_limit_rotates_nothing(self) -> None:
        pair = self.sign_in(self.olga)
        body = {"refresh_token": pair.refresh_token}
        with override_settings(RATE_LIMIT_JWT=(1, 60)):
            self.get("/auth/me", self.olga)
            assert self.post("/auth/refresh", None, body).status_code == 429
        self.forget_counts()
        assert self.post("/auth/refresh", None, body).status_code == 200

    @override_settings(
        RATE_LIMIT_API_KEY=(7, 60), RATE_LIMIT_JWT=(6, 60), RATE_LIMIT_ANONYMOUS=(5, 60)
    )
    def test_the_settings_change_the_defaults(self) -> None:
        _, secret = issue_key(self.bakery)
        assert left(self.get("/accounts", secret)) == (7, 6)
        assert left(self.get("/accounts", self.olga)) == (6, 5)
        assert left(self.get("/accounts")) == (5, 4)


class HeaderTests(ApiTestCase):
    def assert_limited(self, response: Any, status: int) -> None:
        assert response.status_code == status, response.content
        for name in (*HEADERS, "RateLimit", "RateLimit-Policy", "X-Request-ID"):
            assert name in response.headers, (status, name)
        assert "Authorization" in response.headers["Vary"]

    def test_every_response_under_api_carries_them(self) -> None:
        self.assert_limited(self.get("/accounts", self.olga), 200)
        self.assert_limited(self.get("/accounts"), 401)
        self.assert_limited(self.get("/users", self.otto), 403)
        self.assert_limited(self.get("/accounts/x", self.olga), 404)
        self.assert_limited(self.get("/no/such/url"), 404)
        self.assert_limited(self.get("/no/such/url", self.olga), 404)
        self.assert_limited(self.call("PUT", "/accounts", self.olga), 405)
        self.assert_limited(self.get("/accounts", self.olga, HTTP_ACCEPT="text/html"), 406)
        self.assert_limited(self.post("/accounts", self.olga, b"{"), 400)
        self.assert_limited(self.post("/accounts", self.olga, b"x" * 70_000), 413)
        self.assert_limited(self.post("/accounts", self.olga, b"x", content_type="text/plain"), 415)
        self.assert_limited(self.post("/auth/logout", self.olga), 204)

    def test_a_500_carries_them_and_tells_nothing_but_its_id(self) -> None:
        with mock.patch("merchants.views.merchants_listed", side_effect=RuntimeError("secret")):
            response = self.get("/accounts", self.olga)
        self.assert_limited(response, 500)
        error = self.error(response, 500)
        assert error["code"] == "INTERNAL_ERROR"
        assert error["request_id"] == response.headers["X-Request-ID"]
        assert b"secret" not in response.content

    def test_a_database_that_is_away_is_503(self) -> None:
        self.bearer(self.olga)
        with mock.patch("merchants.views.merchants_listed", side_effect=OperationalError):
            self.error(self.get("/accounts", self.olga), 503)
        self.forget_counts()  # and whoever is remembered
        with mock.patch(
            "authn.authentication.Session.objects.live_of", side_effect=OperationalError
        ):
            response = self.get("/accounts", self.olga)
        assert self.error(response, 503)["code"] == "SERVICE_UNAVAILABLE"
        assert response.headers["Retry-After"] == "1"

    def test_nothing_passes_where_this_machine_cannot_count(self) -> None:
        self.bearer(self.olga)
        full = sqlite3.OperationalError("database or disk is full")
        with mock.patch("authn.ratelimit.get_usage", side_effect=full):
            for path in ("/accounts", "/no/such/url"):
                assert self.error(self.get(path, self.olga), 503)["code"] == "SERVICE_UNAVAILABLE"

    def test_an_unknown_url_counts(self) -> None:
        for _ in range(10):
            assert self.get("/no/such/url").status_code == 404
        assert self.get("/no/such/url").status_code == 429

    def test_the_ietf_headers_say_the_same(self) -> None:
        response = self.get("/auth/me", self.olga)
        reset = int(response.headers["X-RateLimit-Reset"])
        assert response.headers["RateLimit-Policy"] == '"user";q=100;w=60'
        start, _, seconds = response.headers["RateLimit"].partition(";t=")
        assert start == '"user";r=99'
        assert abs(int(seconds) - (reset - int(time.time()))) <= 1

    def test_health_and_keys_are_not_counted(self) -> None:
        for path in ("/healthz", "/readyz", "/.well-known/jwks.json"):
            response = self.client.get(path)
            assert response.status_code == 200
            assert HEADERS[0] not in response.headers
        assert left(self.get("/auth/me")) == (10, 9)

    def test_two_authorization_headers_are_refused(self) -> None:
        token = self.sign_in(self.olga).access_token
        joined = f"Bearer {token},Bearer {token}"  # as servers hand on two of them
        self.assert_unauthorized(self.get("/auth/me", HTTP_AUTHORIZATION=joined))

    def test_the_scheme_is_taken_in_any_case_and_no_other_scheme_is(self) -> None:
        token = self.sign_in(self.olga).access_token
        for scheme in ("Bearer", "bearer", "BEARER"):
            header = {"HTTP_AUTHORIZATION": f"{scheme} {token}"}
            assert self.get("/auth/me", **header).status_code == 200
        for malformed in (
            f"Basic {token}", token, f"Bearer  {token}", f"Bearer {token} ", f" Bearer {token}",
            "Bearer", "Bearer ", f"Bearer\t{token}", f"Bearer {token}\x00", "Bearer é", "",
            f"Bearer {'a' * 9000}",
        ):  # fmt: skip
            self.forget_counts()
            self.assert_unauthorized(self.get("/auth/me", HTTP_AUTHORIZATION=malformed))


@override_settings(CORS_ALLOWED_ORIGINS=["https://bank.example"])
class CorsTests(ApiTestCase):
    ORIGIN = {"HTTP_ORIGIN": "https://bank.example"}
    PREFLIGHT = {**ORIGIN, "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "GET"}

    def test_a_preflight_is_answered_without_counting(self) -> None:
        for _ in range(15):
            response = self.call("OPTIONS", "/accounts", **self.PREFLIGHT)
            assert response.status_code == 200
            assert response.headers["Access-Control-Allow-Origin"] == "https://bank.example"
            assert left(response) == (10, 10)
        assert left(self.get("/auth/me")) == (10, 9)

    def test_an_options_that_is_no_preflight_counts(self) -> None:
        without_origin = {"HTTP_ACCESS_CONTROL_REQUEST_METHOD": "GET"}
        for extra in ({}, self.ORIGIN, without_origin):
            self.call("OPTIONS", "/accounts", **extra)
        assert left(self.get("/auth/me")) == (10, 6)

    def test_a_browser_may_read_the_limits_also_of_a_429(self) -> None:
        for _ in range(10):
            self.get("/auth/me", **self.ORIGIN)
        response = self.get("/auth/me", **self.ORIGIN)
        assert response.status_code == 429
        exposed = response.headers["Access-Control-Expose-Headers"]
        for name in (*HEADERS, "Retry-After", "X-Request-ID"):
            assert name in exposed
        unrouted = self.get("/no/such/url", **self.ORIGIN)
        assert unrouted.status_code == 429
        assert unrouted.headers["Access-Control-Allow-Origin"] == "https://bank.example"

    def test_a_foreign_origin_may_read_nothing(self) -> None:
        response = self.get("/auth/me", HTTP_ORIGIN="https://evil.example")
        assert "Access-Control-Allow-Origin" not in response.headers
