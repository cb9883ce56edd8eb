"""A Host that is not in ALLOWED_HOSTS is 400 everywhere but at the probes."""

from typing import Any

from django.test import override_settings

from fluxiq.tests.base import ApiTestCase

FOREIGN = (
    "evil.example", "evil.example:8000", "localhost.evil.example", "testserver.evil", "127.0.0.2",
    "localhost@evil.example", "localhost evil", "", ":80", "[::2]", "localhost:x", "*", ".", "é",
    "testserver, localhost", "testserver\x00", "x" * 10_000,
)  # fmt: skip
GOOD = (
    "testserver", "TestServer", "testserver:8000", "testserver.", "localhost", "127.0.0.1",
    "127.0.0.1:1",
)  # fmt: skip
PAGES = ("/", "/.well-known/jwks.json", "/reset-password", "/metrics", "/admin/", "/admin/login/",
         "/static/admin/css/base.css", "/nope")  # fmt: skip
PROBES = ("/healthz", "/readyz")


class HostTests(ApiTestCase):
    def assert_refused(self, response: Any) -> None:
        """400 in the envelope, which repeats nothing, with the headers of every answer."""
        error = self.error(response, 400)
        assert error["code"] == "VALIDATION_ERROR"
        assert error["details"] == {"host": ["This host is not served here."]}
        assert response.headers["X-Request-ID"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"
        assert not response.cookies

    def test_it_is_400_at_every_endpoint_of_the_api(self) -> None:
        body = {"document": self.olga.document, "password": "wrong"}
        for method, path, caller in (
            ("GET", "/auth/me", self.olga), ("GET", "/auth/verify", self.olga),
            ("POST", "/auth/login", None), ("GET", "/accounts", self.olga),
            ("GET", "/openapi.json", None), ("GET", "/docs", None), ("GET", "/no/such/url", None),
            ("OPTIONS", "/auth/verify", self.olga),
        ):  # fmt: skip
            with self.subTest(path):
                response = self.call(method, path, caller, body, HTTP_HOST="evil.example")
                self.assert_refused(response)
                # Of its address, in which it was not counted; its credential was not looked at.
                assert response.headers["X-RateLimit-Limit"] == "10"
                assert response.headers["X-RateLimit-Remaining"] == "10"
        assert self.get("/auth/me").headers["X-RateLimit-Remaining"] == "9"

    def test_it_is_400_at_every_page(self) -> None:
        for path in PAGES:
            with self.subTest(path):
                self.assert_refused(self.client.get(path, headers={"host": "evil.example"}))

    def test_the_probes_are_answered_whatever_it_is(self) -> None:
        for path in PROBES:
            for host in FOREIGN:
                assert self.client.get(path, headers={"host": host}).status_code == 200

    def test_whatever_is_no_host_of_ours_is_refused(self) -> None:
        self.bearer(self.olga)
        for host in FOREIGN:
            with self.subTest(host[:30]), self.assertNumQueries(0):
                self.assert_refused(self.get("/auth/me", self.olga, HTTP_HOST=host))

    def test_hosts_of_ours_are_served_in_any_case_and_on_any_port(self) -> None:
        for _ in range(2):
            for host in GOOD:
                assert self.get("/auth/me", self.olga, HTTP_HOST=host).status_code == 200, host

    @override_settings(ALLOWED_HOSTS=[".example.com"])
    def test_a_dot_stands_for_all_names_below(self) -> None:
        for host in ("example.com", "api.example.com", "a.b.EXAMPLE.com:80"):
            assert self.get("/auth/me", self.olga, HTTP_HOST=host).status_code == 200, host
        for host in ("badexample.com", "example.com.evil", "testserver"):
            self.assert_refused(self.get("/auth/me", self.olga, HTTP_HOST=host))

    @override_settings(ALLOWED_HOSTS=["*"])
    def test_a_star_stands_for_all_that_is_a_host(self) -> None:
        assert self.get("/auth/me", self.olga, HTTP_HOST="evil.example").status_code == 200
        self.assert_refused(self.get("/auth/me", self.olga, HTTP_HOST="not a host"))

    def test_what_a_proxy_says_beside_it_is_not_believed(self) -> None:
        forwarded = {"HTTP_X_FORWARDED_HOST": "testserver", "HTTP_FORWARDED": "host=testserver"}
        self.assert_refused(self.get("/auth/me", None, HTTP_HOST="evil.example", **forwarded))

    @override_settings(SECURE_SSL_REDIRECT=True)
    def test_it_is_sent_nowhere_else(self) -> None:
        assert self.get("/auth/me").status_code == 301
        self.assert_refused(self.get("/auth/me", HTTP_HOST="evil.example"))
        self.assert_refused(self.client.get("/admin/", headers={"host": "evil.example"}))

    def test_it_is_logged_in_one_line(self) -> None:
        for path in ("/api/v1/accounts", "/admin/"):
            with self.assertLogs(level="INFO") as logged:
                self.client.get(path, headers={"host": "evil.example:81"})
            (record,) = logged.records
            assert (record.levelname, record.exc_info) == ("WARNING", None)
            message = "refused a request for the host 'evil.example:81': not in ALLOWED_HOSTS"
            assert record.getMessage() == message

    def test_a_line_holds_no_more_than_a_name(self) -> None:
        for host in ("x" * 10_000, "a\nb", "\x1b[31m", "é"):
            with self.assertLogs("fluxiq.requests", level="WARNING") as logged:
                self.client.get("/", headers={"host": host})
            (record,) = logged.records
            assert record.getMessage().isprintable()
            assert record.getMessage().isascii()
            assert len(record.getMessage()) < 400
