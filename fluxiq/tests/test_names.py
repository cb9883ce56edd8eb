"""What a name may hold: one visible line, read as it is stored."""

import re

import pytest
from django.core.exceptions import ValidationError

from fluxiq import names

GOOD = (
    "Otto Lima",
    "José Antônio d'Ávila",
    "株式会社テスト",
    "שירה",
    "محمد",
    "Padaria 🍞",
    "👩‍👧",  # joined by U+200D
    "می‌خواهم",  # with U+200C, as Persian is written
    "-",
    "x" * 100,
)
BREAKING = (
    *(chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))),
    *(chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))),
    *"\u061c\u200e\u200f\u2028\u2029",
    "\ud800",
    "\udfff",
)
INVISIBLE = (
    "",
    "   ",
    "\u00a0",
    "\u200b",
    "\u200b \u2060\ufeff",
    "\u200d\u200c",
    "\u3164",
    "\u2800",
    "\u00ad",
    "\ufe0f",
    "\U000e0061",
)


@pytest.mark.parametrize("name", GOOD)
def test_names_of_all_scripts_are_taken(name: str) -> None:
    names.validate(name)
    assert re.fullmatch(names.PATTERN, name)


@pytest.mark.parametrize("character", BREAKING, ids=ascii)
def test_what_breaks_or_turns_a_line_is_refused_wherever_it_stands(character: str) -> None:
    for name in (f"Nina{character}", f"{character}Nina", f"Ni{character}na"):
        with pytest.raises(ValidationError, match="control characters"):
            names.validate(name)
        assert character > "\ud7ff" or not re.fullmatch(names.PATTERN, name)


@pytest.mark.parametrize("name", INVISIBLE, ids=ascii)
def test_a_name_that_nobody_sees_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="visible"):
        names.validate(name)


def test_what_is_shown_of_any_text_is_one_line_without_what_turns_it() -> None:
    assert names.shown("Padaria\nBcc: all@example.com") == "Padaria Bcc: all@example.com"
    assert names.shown("a\x85b\u2028c") == "a b c"
    for character in BREAKING:
        shown = names.shown(f"Ni{character}na")
        assert len(shown.splitlines()) == 1
        assert character not in shown or character == " "
    for name in GOOD:
        assert names.shown(name) == name
