"""Whatever stands in a body, the answer is a documented 4xx, and nothing happens."""

import json
from collections.abc import Iterator
from typing import Any

from django.core import mail
from django.test import override_settings

from accounts.models import User
from fluxiq.audit.models import AuditEvent
from fluxiq.scopes import Role
from fluxiq.tests.base import ApiTestCase
from merchants.models import Membership, Merchant, PaymentAccount

NESTED: Any = "deep"
for _ in range(50):
    NESTED = {"a": [NESTED]}

# Never right, in whatever field; each a fault of that field alone.
WRONG: list[Any] = [
    0, 1, -1, 12345678901, 1.5, 1e300, 10**400, True, False, None, [], {}, [[]], ["x"], {"x": "y"},
    ["owner"], {"owner": "owner"}, NESTED, "", " ", "\t\n", "x" * 10_000, "\x00", "a\x00b",
    "\ud800", "a\udfffb", "\ud800" * 60,
]  # fmt: skip
CODES = {
    400: "VALIDATION_ERROR",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}


def label(value: Any) -> str:
    return ascii(value)[:40]


@override_settings(RATE_LIMIT_JWT=(100_000, 60), RATE_LIMIT_ANONYMOUS=(100_000, 60))
class HostileBodyTestCase(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        # A member of two, so that `merchant_id` cannot be left out.
        Membership.objects.add(self.bookshop, self.olga, Role.OWNER)
        self.bearer(self.olga)
        account = f"/accounts/{self.till.id}"
        member = f"/users/{self.membership(self.otto).id}"
        self.creations: dict[str, dict[str, Any]] = {
            "/accounts": {"merchant_id": self.bakery.id, "name": "Savings"},
            "/users": {
                "merchant_id": self.bakery.id,
                "document": "98765432100",
                "name": "Nina",
                "role": "operator",
                "email": "nina@example.com",
            },
        }
        self.changes: dict[str, dict[str, Any]] = {
            account: {"name": "Renamed", "status": "blocked"},
            member: {"name": "Renamed", "role": "manager", "status": "inactive"},
        }
        self.before = self.state()

    def state(self) -> Any:
        """All that a request of these routes could write."""
        return (
            [
                list(model.objects.order_by("pk").values())
                for model in (Merchant, Membership, PaymentAccount, User)
            ],
            AuditEvent.objects.count(),
            len(mail.outbox),
        )

    def routes(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Method, path and a good body of each route that reads one."""
        for path, good in self.creations.items():
            yield "POST", path, good
        for path, good in self.changes.items():
            yield "PATCH", path, good

    def send(self, method: str, path: str, body: Any, **extra: Any) -> Any:
        """Send a body as the owner; lone surrogates travel as JSON's escapes."""
        return self.call(method, path, self.olga, body, **extra)

    def assert_refused(self, response: Any, *statuses: int) -> dict[str, Any]:
        """One of these statuses, in the envelope, with its code and the headers of every answer."""
        assert response.status_code in statuses, (response.status_code, response.content[:300])
        error = self.error(response, response.status_code)
        assert error["code"] == CODES[response.status_code]
        assert error["message"]
        assert response.headers["X-RateLimit-Limit"]
        assert response.headers["Cache-Control"] == "no-store"
        if response.status_code == 400:
            assert sorted(error) == ["code", "details", "message"]
            assert error["details"]
            for field, messages in error["details"].items():
                assert isinstance(field, str)
                assert messages
                assert all(isinstance(message, str) and message for message in messages)
        else:
            assert sorted(error) == ["code", "message"]
        return error

    def assert_nothing_happened(self) -> None:
        assert self.state() == self.before


class FieldTests(HostileBodyTestCase):
    def test_a_value_of_the_wrong_kind_is_400_and_named(self) -> None:
        for method, path, good in self.routes():
            for field in good:
                for value in WRONG:
                    with self.subTest(f"{method} {path.split('/')[1]} {field}={label(value)}"):
                        response = self.send(method, path, {**good, field: value})
                        error = self.assert_refused(response, 400)
                        assert list(error["details"]) == [field]
        self.assert_nothing_happened()

    def test_a_value_of_the_wrong_kind_alone_is_400_and_named(self) -> None:
        for path, good in self.changes.items():
            for field in good:
                for value in WRONG:
                    with self.subTest(f"PATCH {path.split('/')[1]} {field}={label(value)}"):
                        error = self.assert_refused(self.send("PATCH", path, {field: value}), 400)
                        assert list(error["details"]) == [field]
        self.assert_nothing_happened()

    def test_a_required_field_that_is_missing_is_named(self) -> None:
        for path, good in self.creations.items():
            for field in good:
                body = {name: value for name, value in good.items() if name != field}
                with self.subTest(f"POST {path} without {field}"):
                    if field == "email":
                        continue
                    error = self.assert_refused(self.send("POST", path, body), 400)
                    assert list(error["details"]) == [field]
        self.assert_nothing_happened()

    def test_all_that_is_missing_is_named_at_once(self) -> None:
        for path, good in self.creations.items():
            error = self.assert_refused(self.send("POST", path, {}), 400)
            assert set(error["details"]) == set(good) - {"merchant_id", "email"}
        self.assert_nothing_happened()

    def test_documents_that_are_none_are_400(self) -> None:
        good = self.creations["/users"]
        for document in ("123", "1234567890A", "\uff11" * 11, "12345678901 12345678901",
                         "98765432100\x00", "9" * 33, "987.654.321-0", "%00"):  # fmt: skip
            with self.subTest(label(document)):
                response = self.send("POST", "/users", {**good, "document": document})
                assert list(self.assert_refused(response, 400)["details"]) == ["document"]
        self.assert_nothing_happened()

    def test_a_name_is_as_long_as_it_was_sent(self) -> None:
        for name in (" " * 100 + "x", "x" * 101, "\x0c" * 3 + "x" * 98):
            response = self.send("POST", "/accounts", {**self.creations["/accounts"], "name": name})
            assert list(self.assert_refused(response, 400)["details"]) == ["name"]
        self.assert_nothing_happened()

    def test_choices_are_exact(self) -> None:
        for method, path, good in self.routes():
            for field in {"role", "status"} & set(good):
                for value in ("OWNER", "Active", "owner ", " active", "owner\x00", "ow\u200bner",
                              "invited", "\uff41ctive", "*", "operator,owner"):  # fmt: skip
                    with self.subTest(f"{method} {path.split('/')[1]} {field}={label(value)}"):
                        response = self.send(method, path, {**good, field: value})
                        assert list(self.assert_refused(response, 400)["details"]) == [field]
        self.assert_nothing_happened()

    def deep(self, method: str, path: str, good: dict[str, Any], depth: int, *fields: str) -> Any:
        raw = json.dumps({**good, **dict.fromkeys(fields, "DEEP")})
        return self.send(method, path, raw.replace('"DEEP"', "[" * depth + "]" * depth))

    def test_deep_values_in_each_field_are_400(self) -> None:
        for method, path, good in self.routes():
            for field in good:
                for depth in (1, 10, 100, 500, 800, 1000, 2000, 20_000):
                    with self.subTest(f"{method} {path.split('/')[1]} {field} {depth} deep"):
                        self.assert_refused(self.deep(method, path, good, depth, field), 400)
        self.assert_nothing_happened()

    def test_at_no_depth_can_a_value_be_parsed_but_not_told(self) -> None:
        # Around the depth where Python gives up: what the parser still takes, a message may not.
        for depth in range(840, 1000):
            for method, path, good in self.routes():
                fields = {"role", "status", "name"} & set(good)
                response = self.deep(method, path, good, depth, *fields)
                assert response.status_code == 400, (method, path, depth)
        self.assert_nothing_happened()


class UnknownFieldTests(HostileBodyTestCase):
    NAMES = (
        "nome", "Name", "NAME", "name ", " name", "permisions", "id", "pk", "merchant", "balance",
        "is_superuser", "__proto__", "__class__", "constructor", "data", "é", "🍞", "$ne", "name.x",
        "name[]", "invitation", "invitation_digest", "user", "created_at", "x" * 10_000,
    )  # fmt: skip

    def test_an_unknown_field_is_400_and_named(self) -> None:
        for method, path, good in self.routes():
            for name in self.NAMES:
                with self.subTest(f"{method} {path.split('/')[1]} {label(name)}"):
                    response = self.send(method, path, {**good, name: "x"})
                    error = self.assert_refused(response, 400)
                    assert error["details"] == {name: ["Unknown field."]}
        self.assert_nothing_happened()

    def test_a_name_that_cannot_be_written_as_utf_8_is_400_too(self) -> None:
        for method, path, good in self.routes():
            for name in ("\ud800", "name\udfff", "\x00", "name\x00", ""):
                with self.subTest(f"{method} {path.split('/')[1]} {label(name)}"):
                    self.assert_refused(self.send(method, path, {**good, name: "x"}), 400)
        self.assert_nothing_happened()

    def test_all_that_are_unknown_are_named_at_once(self) -> None:
        for method, path, good in self.routes():
            error = self.assert_refused(self.send(method, path, {**good, "a": 1, "b": None}), 400)
            assert sorted(error["details"]) == ["a", "b"]
        self.assert_nothing_happened()

    def test_many_unknown_fields_are_400(self) -> None:
        many = {f"f{number}": number for number in range(4000)}
        for method, path, _ in self.routes():
            self.assert_refused(self.send(method, path, many), 400)
        self.assert_nothing_happened()


class BodyTests(HostileBodyTestCase):
    def test_a_body_that_is_no_object_is_400(self) -> None:
        for method, path, good in self.routes():
            for raw in ("[]", "null", '"x"', "1", "true", "[{}]", json.dumps([good]), '""', "0"):
                with self.subTest(f"{method} {path.split('/')[1]} {raw[:20]}"):
                    self.assert_refused(self.send(method, path, raw), 400)
        self.assert_nothing_happened()

    def test_a_body_that_is_no_json_is_400(self) -> None:
        for method, path, good in self.routes():
            text = json.dumps(good)
            name = text.replace('"name": ', '"name": "first", "name": ')
            for raw in (
                b" ",
                b"{",
                b"nonsense",
                b"\x00",
                b"\xef\xbb\xbf" + text.encode(),
                text.encode()[:-1],
                text.encode() + b"x",
                text.encode() * 2,
                text.encode("utf-16"),
                text.replace("a", "\xe9").encode("latin-1"),
                text.replace("a", "\xe9").encode()[:-4] + b"\xff" + b'"}',
                name.encode(),
                text.replace("}", ', "x": NaN}').encode(),
                text.replace("}", ', "x": Infinity}').encode(),
                text.replace("}", ', "x": -Infinity}').encode(),
                text.replace("}", ', "x": ' + "9" * 5000 + "}").encode(),
                text.replace("'", '"').replace('"', "'").encode(),
                b"[" * 60_000,
                b'{"name":' * 8_000,
                b'{"name":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
                b"name=Savings&status=closed",
                b"<xml/>",
            ):
                with self.subTest(f"{method} {path.split('/')[1]} {raw[:30]!r}"):
                    self.assert_refused(self.send(method, path, raw), 400)
        self.assert_nothing_happened()

    def test_numbers_beyond_all_bounds_are_400(self) -> None:
        for method, path, good in self.routes():
            for field in good:
                for number in ("1e999", "-1e999", "1" * 4000, "0." + "1" * 4000, "1e-999"):
                    raw = json.dumps({**good, field: "NUMBER"}).replace('"NUMBER"', number)
                    with self.subTest(f"{method} {path.split('/')[1]} {field}={number[:10]}"):
                        self.assert_refused(self.send(method, path, raw), 400)
        self.assert_nothing_happened()

    def test_another_content_type_is_415(self) -> None:
        for method, path, good in self.routes():
            for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml",
                         "multipart/form-data; boundary=x", "application/octet-stream",
                         "application/json-patch+json", "application/merge-patch+json", "json",
                         "text/json", "x" * 500, "é/é"):  # fmt: skip
                with self.subTest(f"{method} {path.split('/')[1]} {kind[:30]}"):
                    response = self.send(method, path, json.dumps(good), content_type=kind)
                    self.assert_refused(response, 415)
        self.assert_nothing_happened()

    def test_a_pattern_of_content_types_is_none_and_415(self) -> None:
        for method, path, good in self.routes():
            for kind in ("*/*", "application/*", "*/json"):
                with self.subTest(f"{method} {path.split('/')[1]} {kind}"):
                    response = self.send(method, path, json.dumps(good), content_type=kind)
                    self.assert_refused(response, 415)
        self.assert_nothing_happened()

    def test_no_content_type_at_all_is_415(self) -> None:
        for method, path, good in self.routes():
            response = self.send(method, path, json.dumps(good), content_type="")
            self.assert_refused(response, 415)
        self.assert_nothing_happened()

    def test_over_64_kib_is_413_whatever_it_holds(self) -> None:
        for method, path, good in self.routes():
            for raw in (
                json.dumps({**good, "name": "x" * 65_536}).encode(),
                json.dumps(good).encode() + b" " * 65_536,
                b"\xff" * 65_537,
                b"[" * 70_000,
            ):
                with self.subTest(f"{method} {path.split('/')[1]} {raw[:20]!r}"):
                    self.assert_refused(self.send(method, path, raw), 413)
                    kind = "text/plain"
                    self.assert_refused(self.send(method, path, raw, content_type=kind), 413)
        self.assert_nothing_happened()

    def test_a_good_body_padded_to_64_kib_is_taken(self) -> None:
        for method, path, good in self.routes():
            raw = json.dumps(good).encode()
            response = self.send(method, path, raw + b" " * (65_536 - len(raw)))
            assert response.status_code in (200, 201), response.content

    def test_a_charset_beside_the_content_type_changes_nothing(self) -> None:
        for kind in ("application/json; charset=utf-8", "APPLICATION/JSON",
                     "application/json;charset=latin-1"):  # fmt: skip
            body = {"name": "Pão", "merchant_id": self.bakery.id}
            raw = json.dumps(body, ensure_ascii=False).encode()
            response = self.send("POST", "/accounts", raw, content_type=kind)
            assert self.data(response, 201)["name"] == "Pão"

    def test_a_body_of_a_request_that_reads_none_is_no_fault(self) -> None:
        for raw in (b"nonsense", b"[" * 60_000, b"\xff"):
            assert self.send("GET", "/accounts", raw).status_code == 200
            response = self.send("DELETE", "/users/mbr_01HQGX3VJ8Z5Y6W7T8R9QPNM0K", raw)
            self.assert_not_found(response)
        self.assert_nothing_happened()

    def test_the_same_bodies_of_a_stranger_are_judged_before_they_are_read(self) -> None:
        self.bearer(self.ana)
        self.before = self.state()
        for path in self.changes:
            for raw in (b"nonsense", b"[]", b'{"name": 1}'):
                self.assert_not_found(self.call("PATCH", path, self.ana, raw))
        for method, path, _ in self.routes():
            self.assert_unauthorized(self.call(method, path, None, b"nonsense"))
        self.assert_nothing_happened()
