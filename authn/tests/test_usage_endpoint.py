"""GET /merchants/{id}/api-keys/{key_id}/usage."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from authn.models import ApiKeyUsage
from authn.models.usage import HourOfUse
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import issue_key

NOON = datetime(2026, 2, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class UsageEndpointTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api_key, self.secret = issue_key(self.bakery)
        self.path = f"/merchants/{self.bakery.id}/api-keys/{self.api_key.id}/usage"

    def used(self, *hours: datetime) -> None:
        """Counts of the key in these hours, told apart by their order."""
        rows = [HourOfUse(self.api_key.id, hour, n, 10 + n, 20 + n) for n, hour in enumerate(hours)]
        ApiKeyUsage.objects.add("batch", rows)

    def ask(self, query: str = "", now: datetime = NOON) -> Any:
        """What the owner is answered at that moment."""
        self.bearer(self.olga)  # signed in at the real one
        with self.at(now):
            return self.get(self.path + query, self.olga)

    def hours(self, query: str = "", now: datetime = NOON) -> list[str]:
        """The hours that are shown, as the day and hour of their beginning."""
        return [row["hour"][8:13] for row in self.data(self.ask(query, now))]

    def test_it_shows_the_hours_with_counts_oldest_first(self) -> None:
        self.used(NOON - HOUR, NOON - 3 * HOUR)
        assert json.loads(self.ask().content) == {
            "data": [
                {"hour": "2026-02-03T09:00:00Z", "admitted": 1, "refused": 11, "limited": 21},
                {"hour": "2026-02-03T11:00:00Z", "admitted": 0, "refused": 10, "limited": 20},
            ],
            "meta": {"next": None, "previous": None},
        }

    def test_a_key_without_use_has_no_hours(self) -> None:
        assert self.data(self.ask()) == []

    def test_another_keys_counts_are_not_shown(self) -> None:
        other, _ = issue_key(self.bakery)
        ApiKeyUsage.objects.add("batch", [HourOfUse(other.id, NOON - HOUR, 1, 0, 0)])
        assert self.data(self.ask()) == []

    def test_without_a_period_it_is_the_last_day(self) -> None:
        self.used(*(NOON - n * HOUR for n in (25, 24, 23, 1, 0)))
        assert self.hours(now=NOON) == ["02T12", "02T13", "03T11"]
        # The hours in which the day begins and ends are shown whole.
        half_past = NOON + timedelta(minutes=30)
        assert self.hours(now=half_past) == ["02T12", "02T13", "03T11", "03T12"]

    def test_a_period_shows_every_hour_that_it_touches(self) -> None:
        self.used(*(NOON + n * HOUR for n in range(4)))
        for query, expected in (
            ("?from=2026-02-03T13:00:00Z&to=2026-02-03T14:00:00Z", ["03T13"]),
            ("?from=2026-02-03T13:59:59Z&to=2026-02-03T14:00:01Z", ["03T13", "03T14"]),
            ("?from=2026-02-03T13:00:00&to=2026-02-03T14:00:00", ["03T13"]),
            ("?from=2026-02-03T10:00:00-03:00&to=2026-02-03T11:00:00-03:00", ["03T13"]),
            ("?from=2026-02-03T18:45:00%2B05:30&to=2026-02-03T14:00:00Z", ["03T13"]),
            ("?to=2026-02-03T13:00:00Z", ["03T12"]),
            ("?from=2026-02-03T14:00:00Z", ["03T14", "03T15"]),
        ):
            assert self.hours(query, now=NOON + 4 * HOUR) == expected, query

    def test_a_period_may_have_92_days_and_no_more(self) -> None:
        self.used(NOON - timedelta(days=92))
        at_most = quote((NOON - timedelta(days=92)).isoformat())
        assert len(self.hours(f"?from={at_most}")) == 1
        more = quote((NOON - timedelta(days=92, seconds=1)).isoformat())
        self.assert_invalid(self.ask(f"?from={more}"), "from")

    def test_a_period_that_is_none_is_refused_by_name(self) -> None:
        for query, field in (
            ("?from=2026-02-03T12:00:00Z", "from"),
            ("?from=2027-01-01T00:00:00Z", "from"),
            ("?from=2026-02-03T11:00:00Z&to=2026-02-03T11:00:00Z", "to"),
            ("?from=2026-02-03T11:00:00Z&to=2026-02-03T10:00:00Z", "to"),
            ("?to=0001-01-01T00:00:00Z", "to"),
        ):
            self.assert_invalid(self.ask(query), field)

    def test_what_is_no_time_is_refused_by_name(self) -> None:
        unfit = (
            "", "yesterday", "1770120000", "2026-02-30T00:00:00Z", "2026-02-03T25:00:00Z", "%00",
            "0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59", "2026-02-03T12:00:00+00:00",
            "%ED%A0%80", "9" * 1000,
        )  # fmt: skip
        for text in unfit:
            self.assert_invalid(self.ask(f"?from={text}"), "from")
            self.assert_invalid(self.ask(f"?to={text}"), "to")
        self.assert_invalid(self.ask("?from=x&to=y"), "from", "to")

    def test_a_dead_keys_use_is_shown(self) -> None:
        self.used(NOON - HOUR)
        self.api_key.revoke()
        assert self.hours() == ["03T11"]

    def test_keys_never_read_it_and_members_without_the_permission_neither(self) -> None:
        self.assert_forbidden(self.get(self.path, self.secret), "api_keys:read")
        for member in (self.mario, self.otto):
            self.assert_forbidden(self.get(self.path, member), "api_keys:read")
        self.assert_unauthorized(self.get(self.path))

    def test_what_belongs_to_others_is_404(self) -> None:
        self.assert_not_found(self.get(self.path, self.ana))
        elsewhere = self.path.replace(self.bakery.id, self.bookshop.id)
        for caller in (self.ana, self.root):
            self.assert_not_found(self.get(elsewhere, caller))
        unknown = self.path.replace(self.api_key.id, "key_01HQGX3VJ8Z5Y6W7T8R9QPNM0K")
        for path in (unknown, self.path.replace(self.api_key.id, "nonsense")):
            self.assert_not_found(self.get(path, self.olga))

    def test_permission_is_judged_before_the_query(self) -> None:
        self.assert_forbidden(self.get(f"{self.path}?from=x", self.mario), "api_keys:read")

    def test_it_takes_a_constant_number_of_queries(self) -> None:
        self.used(*(NOON - n * HOUR for n in range(1, 20)))
        self.bearer(self.olga)
        with self.assertNumQueries(4):  # the session, its memberships, the key, its hours
            assert len(self.hours()) == 19
