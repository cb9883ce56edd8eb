"""Whatever stands in a body, the answer is a documented 4xx, and nothing happens."""

import json

from merchants.tests.hostile import HostileBodyTestCase


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
