"""How often a password may be guessed."""

from datetime import timedelta
from typing import Any
from unittest import mock

from django.test import override_settings
from django.utils import timezone

from authn import throttle
from authn.models import Session
from fluxiq import origin
from fluxiq.audit import models as audit
from fluxiq.tests.base import INVALID_LOGIN, ApiTestCase
from fluxiq.tests.factories import PASSWORD

HERE, ELSEWHERE = "203.0.113.1", "198.51.100.2"


@override_settings(RATE_LIMIT_ANONYMOUS=(10_000, 60))
class ThrottleTests(ApiTestCase):
    def login(self, password: str = PASSWORD, address: str = HERE, document: str = "") -> Any:
        body = {"document": document or self.olga.document, "password": password}
        return self.post("/auth/login", None, body, REMOTE_ADDR=address)

    def guess_wrong(self, times: int, address: str = HERE, document: str = "") -> None:
        for _ in range(times):
            response = self.login("wrong password", address, document)
            assert response.content == INVALID_LOGIN

    def test_after_five_failures_the_right_password_is_429_too(self) -> None:
        self.guess_wrong(5)
        for password in ("wrong password", PASSWORD):
            response = self.login(password)
            error = self.error(response, 429)
            assert 1 <= error["retry_after"] <= 900
            assert response.headers["Retry-After"] == str(error["retry_after"])
            assert error["message"] == (
                f"Rate limit exceeded. Retry after {error['retry_after']} seconds"
            )

    def test_the_limit_headers_tell_of_the_throttle(self) -> None:
        self.guess_wrong(5)
        response = self.login()
        assert response.headers["X-RateLimit-Limit"] == "5"
        assert response.headers["X-RateLimit-Remaining"] == "0"
        reset = int(response.headers["X-RateLimit-Reset"])
        assert abs(reset - timezone.now().timestamp() - int(response.headers["Retry-After"])) <= 2

    def test_the_throttle_answers_before_any_hashing(self) -> None:
        self.guess_wrong(5)
        with mock.patch("django.contrib.auth.hashers.MD5PasswordHasher.encode") as hashing:
            self.error(self.login(), 429)
        hashing.assert_not_called()

    def test_other_addresses_and_other_documents_are_not_locked_out(self) -> None:
        self.guess_wrong(5)
        assert self.login(address=ELSEWHERE).status_code == 200
        assert self.login(document=self.ana.document).status_code == 200

    def test_a_success_is_no_failure(self) -> None:
        for _ in range(12):
            assert self.login().status_code == 200
        self.guess_wrong(5)
        self.error(self.login(), 429)

    def test_however_a_document_is_written_it_counts_as_one(self) -> None:
        d = self.olga.document
        written = (d, f"{d[:3]}.{d[3:6]}.{d[6:9]}-{d[9:]}", f" {d} ", f"{d[:9]}-{d[9:]}", d)
        for document in written:
            self.guess_wrong(1, document=document)
        self.error(self.login(), 429)

    def test_unknown_documents_are_throttled_alike(self) -> None:
        self.guess_wrong(5, document="99999999999")
        self.error(self.login(document="99999999999"), 429)

    def test_addresses_of_one_ipv6_network_count_as_one(self) -> None:
        for host in range(5):
            self.guess_wrong(1, address=f"2001:db8::{host}")
        self.error(self.login(address="2001:db8::ffff"), 429)
        assert self.login(address="2001:db8:0:1::1").status_code == 200

    def test_a_window_ends(self) -> None:
        self.guess_wrong(5)
        wait = int(self.login().headers["Retry-After"])
        with mock.patch("time.time", return_value=timezone.now().timestamp() + wait + 1):
            assert self.login().status_code == 200

    def test_a_fault_of_ours_is_no_failure_of_theirs(self) -> None:
        with mock.patch("authn.passwords.User.objects.for_document", side_effect=RuntimeError):
            for _ in range(6):
                self.error(self.login(), 500)
        assert self.login().status_code == 200

    def test_after_fifty_failures_only_known_addresses_may_try(self) -> None:
        assert self.login(address="192.0.2.77").status_code == 200
        self.exhaust_the_document()
        stranger = self.login(address="192.0.2.200")
        self.error(stranger, 429)
        assert self.login(address="192.0.2.77").status_code == 200

    def exhaust_the_document(self) -> None:
        """Fifty failures for olga's document, from ten addresses."""
        for n in range(10):
            self.guess_wrong(5, address=f"198.51.100.{n}")

    def test_an_address_is_known_as_it_is_counted(self) -> None:
        """An IPv6 address by its /64, an IPv4-mapped one as its IPv4."""
        for address in ("2001:db8::77", "::ffff:192.0.2.77"):
            assert self.login(address=address).status_code == 200
        self.exhaust_the_document()
        for known in ("2001:db8::abcd:1", "2001:db8:0:0:ffff::", "192.0.2.77", "::ffff:c000:24d"):
            assert self.login(address=known).status_code == 200, known
        for stranger in ("2001:db8:0:1::77", "192.0.2.78", "::ffff:192.0.2.78"):
            self.error(self.login(address=stranger), 429)

    def test_a_network_is_known_by_a_sign_in_at_the_console_too(self) -> None:
        with origin.working_as(origin.Origin(address="2001:db8::77")):
            audit.record(audit.Kind.STAFF_SIGNED_IN, object_id=self.olga.id)
        self.exhaust_the_document()
        self.error(self.login(address="2001:db8:0:1::77"), 429)
        assert self.login(address="2001:db8::abcd").status_code == 200

    def test_no_address_is_known_to_a_document_that_nobody_has(self) -> None:
        for n in range(10):
            self.guess_wrong(5, address=f"198.51.100.{n}", document="99999999999")
        self.error(self.login(address="192.0.2.77", document="99999999999"), 429)

    def test_an_address_is_known_by_a_sign_in_at_the_console_too(self) -> None:
        with origin.working_as(origin.Origin(address="192.0.2.77")):
            audit.record(audit.Kind.STAFF_SIGNED_IN, object_id=self.olga.id)
        self.exhaust_the_document()
        self.error(self.login(address="192.0.2.200"), 429)
        assert self.login(address="192.0.2.77").status_code == 200

    def test_an_address_is_known_for_thirty_days(self) -> None:
        self.login(address="192.0.2.77")
        Session.objects.update(created_at=timezone.now() - timedelta(days=31))
        self.exhaust_the_document()
        self.error(self.login(address="192.0.2.77"), 429)

    def test_attempts_are_reserved_before_they_are_tried(self) -> None:
        """Five that are under way leave no room for a sixth, whatever becomes of them."""
        attempts = [throttle.Attempt(self.olga.document) for _ in range(5)]
        for attempt in attempts:
            attempt.reserve()
        self.error(self.login(address=""), 429)
        for attempt in attempts:
            attempt.give_back()
        assert self.login(address="").status_code == 200
