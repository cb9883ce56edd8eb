"""Reading JSON bodies: what is malformed, ambiguous or too deep is refused, and nothing faults."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ParseError

from fluxiq.parsers import StrictJSONParser


def parse(body: bytes) -> Any:
    return StrictJSONParser().parse(io.BytesIO(body))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4)
    ),
    max_leaves=20,
)


class TestStrictJsonParser:
    def test_it_reads_json_alone(self) -> None:
        assert StrictJSONParser.media_type == "application/json"

    @given(json_values)
    def test_what_is_json_is_read_as_it_is(self, value: Any) -> None:
        assert parse(json.dumps(value).encode()) == value
        assert parse(json.dumps(value, ensure_ascii=False).encode()) == value

    def test_text_keeps_its_spaces_and_its_characters(self) -> None:
        assert parse('{"password": "  pão 🍞 "}'.encode()) == {"password": "  pão 🍞 "}

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b" ",
            b"{",
            b"}",
            b"nonsense",
            b"{'name': 'x'}",
            b'{"name": "x",}',
            b'{"name" "x"}',
            b'{name: "x"}',
            b'{"name": "x"} {}',
            b'{"name": "x"}garbage',
            b'{"name": "a\nb"}',  # a bare newline in a string
            b'{"name": "\\x"}',
            b'{"name": "\\u12"}',
            b'{"name": 01}',
            b'{"name": +1}',
            b'{"name": .5}',
            b"// a comment\n{}",
            b"\xef\xbb\xbf{}",  # a byte order mark
            b"\x00{}",
        ],
    )
    def test_what_is_no_json_is_refused(self, body: bytes) -> None:
        with pytest.raises(ParseError):
            parse(body)

    @pytest.mark.parametrize(
        "body",
        [b'{"a": NaN}', b'{"a": Infinity}', b"[-Infinity]", b"NaN", b'{"a": {"b": [NaN]}}'],
    )
    def test_constants_that_are_no_json_are_refused(self, body: bytes) -> None:
        with pytest.raises(ParseError):
            parse(body)

    @pytest.mark.parametrize(
        "body",
        [
            b'{"name": "a", "name": "b"}',
            b'{"name": "a", "name": "a"}',
            b'{"name": "a", "\\u006eame": "b"}',  # the same name, written otherwise
            b'{"a": {"b": 1, "b": 2}}',
            b'[{"b": 1, "b": 2}]',
        ],
    )
    def test_a_member_that_stands_twice_is_refused(self, body: bytes) -> None:
        with pytest.raises(ParseError, match="twice"):
            parse(body)

    def test_the_same_name_in_two_objects_is_no_repetition(self) -> None:
        assert parse(b'{"a": {"b": 1}, "b": {"b": 2}}') == {"a": {"b": 1}, "b": {"b": 2}}

    @pytest.mark.parametrize("body", [b"[" * 60_000, b'{"a":' * 12_000, b'[{"a":' * 10_000])
    def test_what_is_nested_too_deep_is_refused(self, body: bytes) -> None:
        with pytest.raises(ParseError):
            parse(body)

    def test_a_closed_nest_too_deep_is_refused(self) -> None:
        with pytest.raises(ParseError):
            parse(b"[" * 30_000 + b"]" * 30_000)

    @pytest.mark.parametrize(
        "body",
        [
            b'{"name": "\xff"}',
            b'{"name": "\xc0\xaf"}',  # an overlong slash
            b'{"name": "\xed\xa0\x80"}',  # a surrogate
            b'{"name": "caf\xe9"}',  # Latin-1
            '{"name": "x"}'.encode("utf-16"),
            '{"name": "x"}'.encode("utf-32-be"),
        ],
    )
    def test_what_is_not_utf_8_is_refused(self, body: bytes) -> None:
        with pytest.raises(ParseError):
            parse(body)

    def test_a_number_too_long_to_read_is_refused(self) -> None:
        with pytest.raises(ParseError):
            parse(b'{"a": ' + b"9" * 5000 + b"}")

    @given(st.binary(max_size=200))
    def test_no_bytes_are_a_fault(self, body: bytes) -> None:
        try:
            parse(body)
        except ParseError:
            return

    @given(st.text(alphabet='{}[]":,0123456789.eE+-\\u nultrefasNIy\x00', max_size=80))
    def test_nothing_like_json_is_a_fault(self, body: str) -> None:
        try:
            parse(body.encode())
        except ParseError:
            return

    def test_the_message_tells_nothing_of_python(self) -> None:
        for body in (b"{", b"[" * 60_000, b'{"a": "\xff"}', b'{"a": ' + b"9" * 5000 + b"}"):
            with pytest.raises(ParseError) as caught:
                parse(body)
            message = str(caught.value.detail)
            assert message.startswith("JSON parse error")
            assert "sys." not in message
            assert "codec" not in message
