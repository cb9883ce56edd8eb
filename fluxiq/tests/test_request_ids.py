"""Every answer names its request, in a header, in the log and in what it did."""

import logging
import re
from typing import Any
from unittest import mock

from django.test import Client, SimpleTestCase, override_settings

from fluxiq import origin
from fluxiq.addresses import parse_networks
from fluxiq.audit.models import AuditEvent
from fluxiq.logs import RequestFilter
from fluxiq.middleware import printable
from fluxiq.tests.base import ApiTestCase

OURS = re.compile(r"req_[0-9a-f]{24}")
THEIRS = "edge-7f3a.0001_B"
HEADER = "X-Request-ID"
TRUSTING = override_settings(TRUSTED_PROXIES=parse_networks(["10.0.0.0/8"]))


class Keeping(logging.Handler):
    """Keeps the records that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(record)


class RequestIdTests(ApiTestCase):
    def test_every_answer_has_one_of_its_own(self) -> None:
        urls = ["/healthz", "/readyz", "/nope", "/.well-known/jwks.json", "/api/v1/accounts",
                "/api/v1/nope", "/api/v1/openapi.json", "/admin/login/"]  # fmt: skip
        seen = [self.client.get(url).headers[HEADER] for url in urls]
        assert all(OURS.fullmatch(request_id) for request_id in seen)
        assert len(set(seen)) == len(urls)

    def test_one_of_an_untrusted_client_is_not_taken(self) -> None:
        response = self.get("/accounts", self.olga, HTTP_X_REQUEST_ID=THEIRS)
        assert OURS.fullmatch(response.headers[HEADER])

    @TRUSTING
    def test_one_of_a_trusted_proxy_is_kept(self) -> None:
        response = self.get(
            "/accounts", self.olga, HTTP_X_REQUEST_ID=THEIRS, REMOTE_ADDR="10.0.0.1"
        )
        assert response.headers[HEADER] == THEIRS

    @TRUSTING
    def test_a_peer_beside_the_trusted_network_is_not_trusted(self) -> None:
        response = self.get(
            "/accounts", self.olga, HTTP_X_REQUEST_ID=THEIRS, REMOTE_ADDR="11.0.0.1"
        )
        assert OURS.fullmatch(response.headers[HEADER])

    @TRUSTING
    def test_a_malformed_one_is_replaced_whoever_sends_it(self) -> None:
        for bad in ("", "short", "x" * 65, "has space", "new\nline-here", "né-á-ascii", "a" * 7,
                    "semi;colon;x", "\x00" * 10, "abcdefgh\n", "<script>alert"):  # fmt: skip
            response = self.client.get("/healthz", HTTP_X_REQUEST_ID=bad, REMOTE_ADDR="10.0.0.1")
            assert OURS.fullmatch(response.headers[HEADER]), bad

    @TRUSTING
    def test_the_bounds_of_its_length_are_8_and_64(self) -> None:
        for good in ("a" * 8, "a" * 64):
            response = self.client.get("/healthz", HTTP_X_REQUEST_ID=good, REMOTE_ADDR="10.0.0.1")
            assert response.headers[HEADER] == good

    def test_the_trail_of_what_it_did_has_it(self) -> None:
        response = self.post("/accounts", self.olga, {"name": "Savings"})
        event = AuditEvent.objects.get(object_id=self.data(response, 201)["id"])
        assert event.request_id == response.headers[HEADER]

    def test_the_log_of_a_500_has_it(self) -> None:
        handler = Keeping()
        handler.addFilter(RequestFilter())
        logger = logging.getLogger("django.request")
        logger.addHandler(handler)
        self.addCleanup(logger.removeHandler, handler)
        with mock.patch("merchants.views.merchants_listed", side_effect=RuntimeError):
            response = self.get("/accounts", self.olga)
        assert self.error(response, 500)["request_id"] == response.headers[HEADER]
        assert [record.request_id for record in handler.kept] == [response.headers[HEADER]]

    def test_outside_a_request_the_log_has_none(self) -> None:
        record = logging.makeLogRecord({"msg": "x"})
        assert RequestFilter().filter(record)
        assert record.request_id == "-"  # type: ignore[attr-defined]

    def test_nothing_of_a_request_is_left_after_it(self) -> None:
        self.get("/accounts", self.olga)
        assert origin.current() == origin.Origin()


class OriginTests(ApiTestCase):
    def event(self, **headers: str) -> AuditEvent:
        response = self.post("/accounts", self.olga, {"name": "Savings"}, **headers)
        return AuditEvent.objects.get(object_id=self.data(response, 201)["id"])

    def test_the_trail_has_the_peer_and_not_what_it_claims_to_forward(self) -> None:
        event = self.event(REMOTE_ADDR="203.0.113.9", HTTP_X_FORWARDED_FOR="1.1.1.1")
        assert event.address == "203.0.113.9"

    @TRUSTING
    def test_behind_a_trusted_proxy_it_has_the_client(self) -> None:
        event = self.event(REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="6.6.6.6, 203.0.113.9")
        assert event.address == "203.0.113.9"

    def test_an_address_that_is_none_is_unknown(self) -> None:
        assert self.event(REMOTE_ADDR="").address == "unknown"

    def test_a_hostile_user_agent_is_stored_as_far_as_it_is_printable(self) -> None:
        hostile = "a\x00b\r\nc\x1b[31m" + "é" * 400
        stored = self.event(HTTP_USER_AGENT=hostile).user_agent
        assert stored.startswith("abc[31mé")
        assert len(stored) == 300
        assert stored.isprintable()

    def test_what_is_printable_stays(self) -> None:
        assert printable("Mozilla/5.0 (X11; Linux)", 300) == "Mozilla/5.0 (X11; Linux)"
        assert printable("\ud800x\u202ey\x7f", 300) == "xy"


class SecureRedirectTests(SimpleTestCase):
    def test_a_redirect_to_https_is_named_and_protected_too(self) -> None:
        with self.settings(SECURE_SSL_REDIRECT=True):
            response = Client().get("/healthz")
        assert response.status_code == 301
        assert response.headers["Location"] == "https://testserver/healthz"
        assert response.headers["X-Request-ID"].startswith("req_")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
