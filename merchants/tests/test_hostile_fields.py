"""A field that is wrong, missing or unknown is 400 and named, and nothing happens."""

import json
from typing import Any

import pytest

from merchants.tests.hostile import HostileBodyTestCase, label

NESTED: Any = "deep"
for _ in range(50):
    NESTED = {"a": [NESTED]}

# Never right, in whatever field; each a fault of that field alone.
WRONG: list[Any] = [
    0, 1, -1, 12345678901, 1.5, 1e300, 10**400, True, False, None, [], {}, [[]], ["x"], {"x": "y"},
    ["owner"], {"owner": "owner"}, NESTED, "", " ", "\t\n", "x" * 10_000, "\x00", "a\x00b",
    "\ud800", "a\udfffb", "\ud800" * 60,
]  # fmt: skip


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

    @pytest.mark.once
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
