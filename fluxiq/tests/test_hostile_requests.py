"""Paths, queries and texts that no client means: refused in the envelope, and never a 500."""

import base64
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from django.test import override_settings

from fluxiq.tests import openapi
from fluxiq.tests.base import API, ApiTestCase
from fluxiq.tests.factories import issue_key

SURROGATE = "%ED%A0%80"  # U+D800 as UTF-8 would have it, if it had one
UNFIT = (
    "%00", SURROGATE, "%FF", "x" * 10_000, "mer_01HQGX3VJ8Z5Y6W7T8R9QPNM0K%00",
    f"key_01HQGX3VJ8Z5Y6W7T8R9QPNM0{SURROGATE}",
)  # fmt: skip


def cursor(text: str) -> str:
    """A cursor of this text, in the form in which pages have theirs."""
    return quote(base64.b64encode(text.encode("utf-8", "surrogatepass")).decode())


UNFIT_CURSORS = (
    cursor("p="), cursor("p=\x00"), cursor("p=\ud800"), cursor("p=" + "x" * 10_000), cursor("o=1"),
    cursor("o=-1&p=acc_01HQGX3VJ8Z5Y6W7T8R9QPNM0K"), cursor("o=x&p=acc_01HQGX3VJ8Z5Y6W7T8R9QPNM0K"),
    cursor("p=acc_01HQGX3VJ8Z5Y6W7T8R9QPNM0K%00"), cursor("r=1&p=%ED%A0%80"),
)  # fmt: skip


CODES = {400: "VALIDATION_ERROR", 403: "FORBIDDEN", 404: "NOT_FOUND"}


@override_settings(RATE_LIMIT_JWT=(100_000, 60), RATE_LIMIT_ANONYMOUS=(100_000, 60))
class HostileRequestTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        api_key, _ = issue_key(self.bakery)
        self.good = {
            "merchant_id": self.bakery.id,
            "key_id": api_key.id,
            "account_id": self.till.id,
            "membership_id": self.membership(self.otto).id,
            "session_id": "ses_01HQGX3VJ8Z5Y6W7T8R9QPNM0K",
        }
        self.spec = openapi.load()
        self.operations: list[tuple[str, str, openapi.Json]] = []
        for name, operation in openapi.operations(self.spec):
            method, _, path = name.partition(" ")
            self.operations.append((method, path, operation))

    def url(self, path: str, **changes: str) -> str:
        """The path below `/api/v1` with its parameters filled in."""
        values = {**self.good, **changes}
        return re.sub(r"{(\w+)}", lambda name: values[name[1]], path.removeprefix(API))

    def parameters(self, place: str) -> Iterator[tuple[str, str, str]]:
        """Method, path and name of each parameter there."""
        for method, path, operation in self.operations:
            for parameter in operation.get("parameters", ()):
                if parameter.get("in") == place:
                    yield method, path, parameter["name"]

    def test_an_id_in_a_path_that_is_none_is_404(self) -> None:
        found = list(self.parameters("path"))
        assert {name for _, _, name in found} == set(self.good)
        for method, path, name in found:
            for value in UNFIT:
                with self.subTest(f"{method} {path} {name}={value[:40]}"):
                    # To staff all merchants are there, so that each id is looked at.
                    response = self.call(method, self.url(path, **{name: value}), self.root, {})
                    self.assert_not_found(response)
                    assert response.headers["X-RateLimit-Limit"]

    def test_a_parameter_of_a_query_that_is_none_is_refused(self) -> None:
        found = list(self.parameters("query"))
        names = {name for _, _, name in found}
        assert names == {"merchant_id", "cursor", "limit", "kind", "from", "to", "permission"}
        for method, path, name in found:
            for value in (*UNFIT, *(UNFIT_CURSORS if name == "cursor" else ())):
                with self.subTest(f"{method} {path} {name}={value[:40]}"):
                    url = f"{self.url(path)}?{name}={value}"
                    self.assert_refused(self.call(method, url, self.root))

    def test_a_query_that_is_none_is_answered_in_the_envelope(self) -> None:
        many = "&".join(f"limit={n}" for n in range(2000))
        for query in (f"{SURROGATE}=%00&%ZZ=%&=;=", "x=" + "x" * 10_000, many):
            for method, path, operation in self.operations:
                if method == "GET" and operation.get("security") != []:
                    with self.subTest(f"{path} {query[:40]}"):
                        response = self.call(method, f"{self.url(path)}?{query}", self.olga)
                        assert response.status_code < 500
                        if response.status_code >= 400:
                            self.assert_refused(response)

    def texts(self) -> Iterator[tuple[str, str, str, bool]]:
        """Method, path and name of each field of a body that is a text, or holds a list of them."""
        for method, path, operation in self.operations:
            for content in operation.get("requestBody", {}).get("content", {}).values():
                schema = content["schema"]
                named = self.spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
                for name, field in named["properties"].items():
                    kinds = field.get("type", ())
                    if "array" in kinds or "string" in kinds:
                        yield method, path, name, "array" in kinds

    def test_a_text_in_a_body_that_is_none_is_named(self) -> None:
        found = set(self.texts())
        assert len(found) > 25, found
        for method, path, name, is_list in sorted(found):
            for value in ("\x00", "a\ud800", "x" * 10_000):
                body = {name: [value] if is_list else value}
                with self.subTest(f"{method} {path} {name}={value[:9]!a}"):
                    response = self.call(method, self.url(path), self.olga, body)
                    details = self.error(response, 400)["details"]
                    assert name in {field.partition(".")[0] for field in details}
                    assert response.headers["X-RateLimit-Limit"]

    def assert_refused(self, response: Any) -> None:
        """Refused in the envelope, as the client's fault."""
        assert response.status_code in CODES, response.content[:300]
        assert self.error(response, response.status_code)["code"] == CODES[response.status_code]
        assert response.headers["X-RateLimit-Limit"]
