"""What is remembered of verified callers, and how it is forgotten. On Valkey alone."""

import itertools
import os
import time
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from asgiref.local import Local
from django.core.cache import cache, caches
from django.utils import timezone
from redis import Redis

from accounts.models import User
from authn import remembered, usage
from authn.models import ApiKey, Session
from fluxiq import counters
from fluxiq.counters import SharedCounters
from fluxiq.principals import Principal
from fluxiq.scopes import Role
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import MembershipFactory, issue_key

pytestmark = pytest.mark.skipif(
    not os.environ.get("TEST_REDIS_URL"),
    reason="nothing is remembered in the embedded deployment",
)


class RememberedTests(ApiTestCase):
    def entry(self, name: str) -> bytes | None:
        """What stands under that name on the server."""
        shared = counters.of_requests()
        assert isinstance(shared, SharedCounters)
        with Redis.from_url(os.environ["TEST_REDIS_URL"]) as valkey:
            found: bytes | None = valkey.get(shared.make_key(name))
        return found

    def milliseconds_left(self, name: str) -> int:
        """How long what stands under that name is still kept."""
        shared = counters.of_requests()
        assert isinstance(shared, SharedCounters)
        return int(shared._server.call("PTTL", shared.make_key(name)))

    def warm(self, caller: Any, path: str = "/auth/me") -> None:
        """Ask twice: the second is remembered."""
        self.get(path, caller)
        self.bearer(caller)
        with self.assertNumQueries(0):
            assert self.get(path, caller).status_code == 200

    def recognised_later(self, **delta: float) -> Any:
        """A block in which it is later for who judges what is remembered, and for nobody else."""
        later = time.time() + timedelta(**delta).total_seconds()
        return mock.patch("authn.recognition.time", mock.Mock(time=lambda: later))

    def test_a_second_request_asks_no_database(self) -> None:
        _, secret = issue_key(self.bakery, "accounts:read")
        for caller in (secret, self.olga, self.root):
            self.warm(caller, "/auth/verify")

    def test_what_is_recalled_is_what_was_read(self) -> None:
        MembershipFactory.create(merchant=self.bookshop, user=self.mario, role=Role.OPERATOR)
        self.bookshop.suspend()
        _, service_secret = ApiKey.objects.issue_service_key(name="pix")
        _, secret = issue_key(self.bakery, "pix:write", "accounts:read", rate_limit=77)
        for caller in (secret, service_secret, self.mario, self.olga, self.root):
            first = self.get("/auth/me", caller)
            again = self.get("/auth/me", caller)
            assert first.json() == again.json()
            assert first.headers["X-RateLimit-Limit"] == again.headers["X-RateLimit-Limit"]
            verify = [self.get("/auth/verify", caller) for _ in range(2)]
            told = [{k: v for k, v in r.headers.items() if k.startswith("X-Auth")} for r in verify]
            assert told[0] == told[1]

    def test_each_use_of_a_remembered_key_is_tallied(self) -> None:
        api_key, secret = issue_key(self.bakery)
        self.warm(secret)
        self.get("/auth/me", secret, REMOTE_ADDR="203.0.113.5")
        usage.flush()
        api_key.refresh_from_db()
        assert list(api_key.usage.values_list("admitted", flat=True)) == [3]
        assert api_key.last_used_address == "203.0.113.5"

    def test_counting_goes_on_over_both_ways(self) -> None:
        _, secret = issue_key(self.bakery)
        left = []
        for _ in range(3):
            left.append(self.get("/accounts", secret).headers["X-RateLimit-Remaining"])
        assert left == ["999", "998", "997"]

    def test_what_is_remembered_holds_no_secret(self) -> None:
        api_key, secret = issue_key(self.bakery)
        self.warm(secret)
        entry = self.entry(remembered.key_name(api_key.id))
        assert entry is not None
        assert secret[8:] not in entry.decode()

    def test_a_tombstone_outlives_every_read_that_began_before_it(self) -> None:
        api_key, secret = issue_key(self.bakery)
        name = remembered.key_name(api_key.id)
        began = time.monotonic()
        api_key.revoke()
        assert self.entry(name) == b"!"
        remembered.remember({name: "the old state"}, began)
        assert self.entry(name) == b"!"
        self.assert_unauthorized(self.get("/accounts", secret))

    def test_a_read_that_took_long_is_not_remembered(self) -> None:
        remembered.remember({"{x}key": "old"}, time.monotonic() - 5.1)
        assert self.entry("{x}key") is None
        remembered.remember({"{x}key": "fresh"}, time.monotonic())
        assert self.entry("{x}key") == b"fresh"

    def test_an_entry_lives_ten_seconds_from_when_its_reading_began(self) -> None:
        # Not from when it was added: a region that hears of no tombstone holds it for that long.
        remembered.remember({"{x}key": "slow"}, time.monotonic() - 4)
        left = self.milliseconds_left("{x}key")
        assert 5_000 < left <= 6_000

    def test_an_entry_lives_no_longer_than_what_it_tells_of(self) -> None:
        until = time.time() + 2
        remembered.remember({"{x}key": "brief"}, time.monotonic(), until)
        left = self.milliseconds_left("{x}key")
        assert 0 < left <= 2000
        remembered.remember({"{y}key": "over"}, time.monotonic(), time.time() - 1)
        assert self.entry("{y}key") is None

    def test_a_key_whose_end_came_since_is_refused_and_not_counted_as_its_own(self) -> None:
        _, secret = issue_key(self.bakery, expires_at=timezone.now() + timedelta(hours=1))
        self.warm(secret)
        with self.recognised_later(seconds=3601):
            response = self.get("/auth/me", secret)
        self.assert_unauthorized(response)
        assert response.headers["X-RateLimit-Limit"] == "10"
        assert self.get("/auth/me", secret).headers["X-RateLimit-Remaining"] == "997"

    def test_a_session_whose_end_came_since_goes_the_long_way_and_is_counted_once(self) -> None:
        self.warm(self.olga)
        with self.recognised_later(days=8):
            response = self.get("/auth/me", self.olga)
        assert response.headers["X-RateLimit-Remaining"] == "97"

    def test_a_public_page_knows_who_is_remembered(self) -> None:
        self.warm(self.olga)
        assert self.get("/openapi.json", self.olga).headers["X-RateLimit-Limit"] == "100"
        self.olga.deactivate()
        response = self.get("/openapi.json", self.olga)
        assert (response.status_code, response.headers["X-RateLimit-Limit"]) == (200, "10")

    def test_a_public_page_is_open_to_a_remembered_key_whose_end_came_since(self) -> None:
        _, secret = issue_key(self.bakery, expires_at=timezone.now() + timedelta(hours=1))
        self.warm(secret)
        with self.recognised_later(seconds=3601):
            response = self.get("/openapi.json", secret)
        assert (response.status_code, response.headers["X-RateLimit-Limit"]) == (200, "10")

    def test_a_key_bound_to_addresses_is_asked_about_each_time(self) -> None:
        api_key, secret = issue_key(self.bakery, allowed_ips=["127.0.0.0/8"])
        for _ in range(2):
            assert self.get("/auth/me", secret).status_code == 200
        self.assert_unauthorized(self.get("/auth/me", secret, REMOTE_ADDR="203.0.113.1"))
        assert self.entry(remembered.key_name(api_key.id)) is None

    def test_a_key_is_remembered_under_one_name_whichever_pepper_is_newest(self) -> None:
        old, new = (
            "test-1:pepper-of-the-tests-alone-0123456789",
            "new:a-newer-pepper-0123456789abcdef",
        )
        api_key, secret = issue_key(self.bakery)
        self.warm(secret)
        with self.settings(API_KEY_PEPPERS=f"{new},{old}"):
            self.warm(secret)  # moves the key
        with self.settings(API_KEY_PEPPERS=f"{old},{new}"):
            assert self.get("/auth/me", secret).headers["X-RateLimit-Remaining"] == "995"
            api_key.revoke()
        assert self.entry(remembered.key_name(api_key.id)) == b"!"
        for ring in (f"{new},{old}", f"{old},{new}"):
            with self.settings(API_KEY_PEPPERS=ring):
                self.assert_unauthorized(self.get("/auth/me", secret))

    def test_whatever_ends_or_changes_a_caller_forgets_them(self) -> None:
        api_key, secret = issue_key(self.bakery, "accounts:read", "pix:read")
        self.warm(secret)
        api_key.change({"permissions": ["pix:read"]})
        self.assert_forbidden(self.get("/accounts", secret), "accounts:read")
        self.warm(self.otto)
        self.membership(self.otto).change(self.principal(self.olga), {"role": Role.MANAGER})
        assert self.get("/auth/verify?permission=pix:read", self.otto).status_code == 200
        self.warm(self.mario)
        self.membership(self.mario).end(self.principal(self.olga))
        assert self.data(self.get("/auth/me", self.mario))["memberships"] == []
        self.warm(self.olga)
        self.bakery.suspend()
        self.assert_unauthorized(self.get("/auth/me", secret))
        self.assert_forbidden(self.get("/accounts", self.olga), "accounts:read")
        self.warm(self.root)
        self.root.is_superuser = False
        self.root.save()
        self.assert_forbidden(self.get("/accounts", self.root), "accounts:read")
        self.warm(self.ana)
        self.ana.deactivate()
        self.assert_unauthorized(self.get("/auth/me", self.ana))

    def principal(self, user: User) -> Principal:
        """What the user may do, as a model's rule takes it."""
        self.sign_in(user)
        return Session.objects.filter(user=user).latest("id").principal()

    def test_a_flushed_server_forgets_and_brings_nothing_back(self) -> None:
        api_key, secret = issue_key(self.bakery)
        self.warm(secret)
        api_key.revoke()
        cache.clear()
        self.assert_unauthorized(self.get("/accounts", secret))
        self.assert_unauthorized(self.get("/accounts", secret))

    def test_the_thread_may_count_by_another_cache_object_than_it_asked_by(self) -> None:
        _, secret = issue_key(self.bakery)
        self.warm(secret)
        with mock.patch.object(caches, "_connections", Local()):  # as when the setting changes
            answers = [self.get("/auth/me", secret) for _ in range(2)]
        left = [answer.headers["X-RateLimit-Remaining"] for answer in answers]
        assert left == ["997", "996"]


class AwayTests(ApiTestCase):
    """What cannot be forgotten, for the server is away."""

    def bury(self, *answers: bool) -> tuple[int, int]:
        """Forget, where the server takes it or not, in turn: how often it was asked, and slept."""
        memory = mock.Mock()
        memory.bury.side_effect = answers
        threads: list[Any] = []

        class Thread:
            def __init__(self, target: Any, args: Any, daemon: bool) -> None:
                threads.append(lambda: target(*args))

            def start(self) -> None:
                threads[-1]()

        with (
            mock.patch("authn.remembered.counters.of_requests") as requests,
            mock.patch("authn.remembered.threading.Thread", Thread),
            mock.patch("authn.remembered.time.sleep") as sleep,
            mock.patch("authn.remembered.time.monotonic", side_effect=itertools.count()),
        ):
            requests.return_value.memory = memory
            remembered.bury(["{x}key"])
        assert all(call.args == (["{x}key"],) for call in memory.bury.call_args_list)
        return memory.bury.call_count, sleep.call_count

    def test_what_is_taken_at_once_is_not_tried_again(self) -> None:
        assert self.bury(True) == (1, 0)

    def test_it_is_tried_again_until_it_is_taken(self) -> None:
        with self.assertLogs("authn.remembered", "WARNING") as logged:
            assert self.bury(False, False, True) == (3, 2)
        assert len(logged.records) == 1

    def test_it_is_given_up_once_the_entry_has_run_out_by_itself(self) -> None:
        with self.assertLogs("authn.remembered", "WARNING"):
            asked, slept = self.bury(*[False] * 100)
        assert asked == slept + 1
        assert slept == remembered.LIFETIME
