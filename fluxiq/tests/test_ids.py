"""Identifiers: a prefix and a ULID, and nothing that only looks like one."""

import time
from collections.abc import Callable
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxiq import ids
from fluxiq.ids import Prefix

GOOD = "usr_01HQGX3VJ8Z5Y6W7T8R9QPNM0K"

MAKERS: list[tuple[Callable[[], str], str]] = [
    (ids.new_user_id, "usr"),
    (ids.new_merchant_id, "mer"),
    (ids.new_membership_id, "mbr"),
    (ids.new_account_id, "acc"),
    (ids.new_api_key_id, "key"),
    (ids.new_session_id, "ses"),
    (ids.new_event_id, "evt"),
]


class TestNew:
    @pytest.mark.parametrize(("make", "prefix"), MAKERS)
    def test_each_kind_has_the_documented_prefix(
        self, make: Callable[[], str], prefix: str
    ) -> None:
        made = make()
        assert made.startswith(f"{prefix}_")
        assert len(made) == ids.LENGTH == 30
        assert ids.is_valid(Prefix(prefix), made)
        assert [p for p in Prefix if ids.is_valid(p, made)] == [prefix]

    def test_every_kind_has_a_maker(self) -> None:
        assert sorted(prefix for _, prefix in MAKERS) == sorted(Prefix)

    def test_no_two_are_alike(self) -> None:
        assert len({ids.new(Prefix.USER) for _ in range(2000)}) == 2000

    def test_later_ones_sort_after_earlier_ones(self) -> None:
        start = time.time_ns()
        made = []
        for milliseconds in range(0, 4000, 400):
            with mock.patch("time.time_ns", return_value=start + milliseconds * 1_000_000):
                made.append(ids.new(Prefix.EVENT))
        assert made == sorted(made)
        assert len(set(made)) == 10


class TestIsValid:
    def test_a_good_one_is_valid_for_its_kind_alone(self) -> None:
        assert ids.is_valid(Prefix.USER, GOOD)
        assert ids.is_any(GOOD)
        assert not any(ids.is_valid(p, GOOD) for p in Prefix if p != Prefix.USER)

    @pytest.mark.parametrize(
        "bad",
        [
            "",
            "usr_",
            GOOD.lower(),
            GOOD[:-1],
            GOOD + "0",
            GOOD + "\n",
            "\n" + GOOD,
            " " + GOOD,
            GOOD + "\x00",
            GOOD[4:],
            GOOD.replace("_", "-"),
            "USR_" + GOOD[4:],
            "usr_8" + GOOD[5:],  # over 128 bits
            "usr_" + "I" + GOOD[5:],
            *(GOOD[:-1] + letter for letter in "ILOU"),
            *(GOOD[:-1] + odd for odd in "-_ é٣\x00"),
            "xyz_" + GOOD[4:],
        ],
    )
    def test_what_only_looks_like_one_is_not(self, bad: str) -> None:
        assert not ids.is_valid(Prefix.USER, bad)
        assert not ids.is_any(bad)

    @given(st.text())
    def test_no_text_is_a_fault(self, text: str) -> None:
        assert ids.is_any(text) == any(ids.is_valid(p, text) for p in Prefix)

    @given(st.sampled_from(list(Prefix)), st.integers(0, 2**128 - 1))
    def test_every_ulid_is_valid(self, prefix: Prefix, value: int) -> None:
        digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
        text = "".join(digits[value >> 5 * place & 31] for place in reversed(range(26)))
        assert ids.is_valid(prefix, f"{prefix}_{text}")
