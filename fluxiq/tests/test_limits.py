"""What a counted request knows of its bucket, and the headers that tell it."""

import re
import time
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from fluxiq.limits import Usage

NOW = 1_706_961_570


def usage(count: int, *, limit: int = 1000, window: int = 60, reset: int = NOW + 30) -> Usage:
    return Usage("api_key", limit, count, window, reset)


class TestUsage:
    def test_the_last_request_of_the_limit_is_not_one_too_many(self) -> None:
        assert not usage(1000).is_exceeded
        assert usage(1001).is_exceeded

    def test_remaining_counts_down_to_nothing_and_never_below(self) -> None:
        assert [usage(n).remaining for n in (1, 999, 1000, 1001, 5000)] == [999, 1, 0, 0, 0]

    def test_retry_after_is_reset_minus_now(self) -> None:
        with mock.patch.object(time, "time", return_value=NOW + 0.9):
            assert usage(1).retry_after == 30

    def test_retry_after_is_never_nothing(self) -> None:
        with mock.patch.object(time, "time", return_value=NOW + 30.0):
            assert usage(1).retry_after == 1
        with mock.patch.object(time, "time", return_value=NOW + 500.0):
            assert usage(1).retry_after == 1

    def test_retry_after_is_never_more_than_the_window(self) -> None:
        with mock.patch.object(time, "time", return_value=NOW - 500.0):
            assert usage(1).retry_after == 60

    def test_the_headers_are_as_documented(self) -> None:
        with mock.patch.object(time, "time", return_value=float(NOW)):
            assert usage(3).headers() == {
                "X-RateLimit-Limit": "1000",
                "X-RateLimit-Remaining": "997",
                "X-RateLimit-Reset": str(NOW + 30),
                "RateLimit-Policy": '"api_key";q=1000;w=60',
                "RateLimit": '"api_key";r=997;t=30',
            }

    @given(
        st.integers(1, 10**9), st.integers(0, 10**9), st.integers(1, 3600), st.integers(0, 2**33)
    )
    def test_whatever_is_counted_the_headers_are_whole_numbers_in_bounds(
        self, limit: int, count: int, window: int, reset: int
    ) -> None:
        counted = usage(count, limit=limit, window=window, reset=reset)
        assert 1 <= counted.retry_after <= window
        assert 0 <= counted.remaining <= limit
        assert counted.is_exceeded == (count > limit)
        headers = counted.headers()
        assert all(re.fullmatch(r"[0-9]+", headers[f"X-RateLimit-{n}"]) for n in (
            "Limit", "Remaining", "Reset"
        ))  # fmt: skip
