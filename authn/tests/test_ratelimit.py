"""The buckets of the rate limit, without HTTP: whose they are, what they count, when they end."""

import os
import sqlite3
import time
from typing import Any
from unittest import mock

import pytest
from django.test import SimpleTestCase, override_settings

from authn import ratelimit, remembered
from authn.ratelimit import Bucket
from fluxiq import counters
from fluxiq.counters.server import ServerAway
from fluxiq.errors import ServiceUnavailable
from fluxiq.limits import Usage
from fluxiq.principals import Grant, Kind, Principal

LIMITS = override_settings(
    RATE_LIMIT_API_KEY=(7, 70),
    RATE_LIMIT_SERVICE_KEY=(6, 60),
    RATE_LIMIT_JWT=(5, 50),
    RATE_LIMIT_ANONYMOUS=(4, 40),
)
NOW = 1_770_000_012.75
NO_COUNT = {"count": 0, "limit": 0, "should_limit": True, "time_left": -1}  # as it tells
IS_SHARED = bool(os.environ.get("TEST_REDIS_URL"))
BUCKET = Bucket("api_key", "{x}owner", 3, 60)


def key(**changes: Any) -> Principal:
    grants = (Grant("mer_1", "Padaria", None, ("pix:read",)),)
    return Principal(Kind.API_KEY, "key_1", "Till", **{"grants": grants, **changes})


@LIMITS
class OwnerTests(SimpleTestCase):
    def test_a_user_has_the_users_limit_under_their_id(self) -> None:
        user = Principal(Kind.USER, "usr_1", "Olga")
        assert ratelimit.bucket_of(user) == Bucket("user", "usr_1", 5, 50)
        assert ratelimit.user_bucket("usr_1") == Bucket("user", "usr_1", 5, 50)

    def test_a_key_has_the_keys_limit_unless_it_has_its_own(self) -> None:
        assert ratelimit.bucket_of(key()) == Bucket("api_key", "key_1", 7, 70)
        assert ratelimit.bucket_of(key(rate_limit=2)) == Bucket("api_key", "key_1", 2, 70)

    def test_a_service_key_has_the_services_limit_unless_it_has_its_own(self) -> None:
        service = key(grants=(), service_permissions=("tokens:introspect",))
        assert ratelimit.bucket_of(service) == Bucket("api_key", "key_1", 6, 60)
        own = key(grants=(), service_permissions=("tokens:introspect",), rate_limit=9)
        assert ratelimit.bucket_of(own) == Bucket("api_key", "key_1", 9, 60)

    def test_an_ipv4_address_has_one_and_an_ipv6_network(self) -> None:
        assert ratelimit.address_bucket("203.0.113.9") == Bucket("address", "203.0.113.9", 4, 40)
        one, other = map(ratelimit.address_bucket, ("2001:db8::1", "2001:db8::ffff"))
        assert one == other
        assert one != ratelimit.address_bucket("2001:db8:0:1::1")


class TestCounting:
    def test_it_tells_what_was_counted_against_the_limit(self) -> None:
        with mock.patch("time.time", return_value=NOW):
            first, second = ratelimit.count(BUCKET), ratelimit.count(BUCKET)
        assert (first.bucket, first.limit, first.window) == ("api_key", 3, 60)
        assert (first.count, second.count) == (1, 2)
        assert first.reset == second.reset

    def test_the_window_ends_at_the_second_that_it_tells_and_not_before(self) -> None:
        with mock.patch("time.time", return_value=NOW):
            counted = ratelimit.count(BUCKET)
        assert NOW < counted.reset <= NOW + 60
        for moment, count in ((counted.reset - 0.001, 2), (counted.reset, 1)):
            with mock.patch("time.time", return_value=float(moment)):
                assert ratelimit.count(BUCKET).count == count

    def test_looking_counts_nothing(self) -> None:
        assert [ratelimit.count(BUCKET, increment=False).count for _ in range(2)] == [0, 0]
        ratelimit.count(BUCKET)
        assert ratelimit.count(BUCKET, increment=False).count == 1

    def test_kinds_owners_and_windows_count_apart_and_limits_do_not(self) -> None:
        ratelimit.count(BUCKET)
        for other in (
            Bucket("user", BUCKET.owner, 3, 60),
            Bucket("api_key", "{x}other", 3, 60),
            Bucket("api_key", BUCKET.owner, 3, 61),
        ):
            assert ratelimit.count(other).count == 1, other
        assert ratelimit.count(Bucket("api_key", BUCKET.owner, 9, 60)).count == 2

    def test_more_than_the_limit_is_counted_too(self) -> None:
        counts = [ratelimit.count(BUCKET) for _ in range(5)]
        assert [usage.count for usage in counts] == [1, 2, 3, 4, 5]
        assert [usage.is_exceeded for usage in counts] == [False] * 3 + [True] * 2

    def test_where_nothing_can_be_counted_nothing_passes(self) -> None:
        with (
            mock.patch("authn.ratelimit.get_usage", return_value=NO_COUNT),
            pytest.raises(ServiceUnavailable),
        ):
            ratelimit.count(BUCKET)
        full = sqlite3.OperationalError("database or disk is full")
        with (
            mock.patch("authn.ratelimit.get_usage", side_effect=full),
            pytest.raises(ServiceUnavailable),
        ):
            ratelimit.count(BUCKET)

    def test_what_was_counted_is_held_against_the_buckets_own_limit(self) -> None:
        assert BUCKET.usage(ratelimit.Counted(2, 99)) == Usage("api_key", 3, 2, 60, 99)


class TestRemembered:
    """A count that is made only where all that is asked for with it is remembered."""

    NAMES = ("{x}one", "{x}other")

    def ask(self) -> Any:
        return ratelimit.count_remembered("api_key", BUCKET.owner, 60, self.NAMES)

    def counted(self) -> int:
        return ratelimit.count(BUCKET, increment=False).count

    def remember(self, *names: str) -> None:
        remembered.remember({name: f"entry of {name}" for name in names}, time.monotonic())

    @pytest.mark.skipif(IS_SHARED, reason="Valkey remembers")
    def test_the_embedded_counters_remember_nothing_and_count_nothing_for_it(self) -> None:
        self.remember(*self.NAMES)
        assert self.ask() is None
        assert self.counted() == 0

    @pytest.mark.skipif(not IS_SHARED, reason="nothing is remembered")
    def test_what_is_remembered_comes_with_the_count(self) -> None:
        self.remember(*self.NAMES)
        with mock.patch("time.time", return_value=NOW):
            counted, asked = self.ask()
            assert counted == (1, ratelimit.count(BUCKET, increment=False).reset)
        assert asked.entries == [b"entry of {x}one", b"entry of {x}other"]

    @pytest.mark.skipif(not IS_SHARED, reason="nothing is remembered")
    def test_where_one_is_missing_nothing_is_counted(self) -> None:
        self.remember("{x}one")
        assert self.ask() is None
        assert self.counted() == 0

    @pytest.mark.skipif(not IS_SHARED, reason="nothing is remembered")
    def test_while_the_server_is_away_nothing_is_counted(self) -> None:
        self.remember(*self.NAMES)
        memory = counters.of_requests().memory
        with mock.patch.object(type(memory), "is_open", False):
            assert self.ask() is None
        assert self.counted() == 0

    @pytest.mark.skipif(not IS_SHARED, reason="nothing is remembered")
    def test_a_server_that_goes_away_at_this_moment_recalls_nothing(self) -> None:
        self.remember(*self.NAMES)
        memory = counters.of_requests().memory
        with mock.patch.object(type(memory), "count", side_effect=ServerAway):
            assert self.ask() is None

    @pytest.mark.skipif(not IS_SHARED, reason="nothing is remembered")
    def test_a_count_that_is_none_recalls_nothing(self) -> None:
        self.remember(*self.NAMES)
        with mock.patch("authn.ratelimit.get_usage", return_value=NO_COUNT):
            assert self.ask() is None
