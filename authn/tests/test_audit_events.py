"""GET /merchants/{id}/audit-events."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from fluxiq import origin
from fluxiq.audit.models import AuditEvent, Kind, record
from fluxiq.origin import Origin
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import issue_key
from merchants.models import Membership, Merchant

NOON = datetime(2026, 2, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class AuditEventTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        # A merchant without a history, of the same people.
        self.bakery = Merchant.objects.create(name="Quiosque", document="98765432000199")
        for user, role in ((self.olga, "owner"), (self.mario, "manager"), (self.otto, "operator")):
            Membership.objects.create(
                merchant=self.bakery, user=user, document=user.document, name="x", role=role
            )
        self.path = f"/merchants/{self.bakery.id}/audit-events"

    def happened(self, *moments: datetime, kind: Kind = Kind.API_KEY_CHANGED) -> None:
        """An event of the bakery at each of these moments, numbered."""
        for number, moment in enumerate(moments):
            record(
                kind, object_id=f"o{number}", merchant_id=self.bakery.id, at=moment,
                actor=("user", self.olga.id),
            )  # fmt: skip

    def shown(self, query: str = "") -> list[str]:
        """The objects of the events that the owner is shown."""
        return [event["object_id"] for event in self.data(self.get(self.path + query, self.olga))]

    def test_an_event_is_shown_with_who_where_and_what(self) -> None:
        user_agent = "till/1.0"
        response = self.post(
            f"/merchants/{self.bakery.id}/api-keys", self.olga,
            {"name": "Till", "permissions": ["pix:read"]}, HTTP_USER_AGENT=user_agent,
        )  # fmt: skip
        key = self.data(response, 201)
        (event,) = self.data(self.get(f"{self.path}?kind=api_key.issued", self.olga))
        stored = AuditEvent.objects.get(object_id=key["id"])
        assert event == {
            "id": stored.id,
            "kind": "api_key.issued",
            "at": f"{stored.at:%Y-%m-%dT%H:%M:%SZ}",
            "actor_kind": "user",
            "actor_id": self.olga.id,
            "merchant_id": self.bakery.id,
            "object_id": key["id"],
            "address": "127.0.0.1",
            "user_agent": user_agent,
            "request_id": response.headers["X-Request-ID"],
            "before": {},
            "after": {"name": "Till", "permissions": ["pix:read"], "hint": key["hint"]},
        }
        assert key["key"] not in str(event)

    def test_of_our_own_people_only_what_they_did_is_shown(self) -> None:
        with origin.working_as(Origin("staff", self.root.id, "10.0.0.1", "ours", "req_1")):
            self.bakery.suspend()
            self.bakery.resume()
        for event in self.data(self.get(self.path, self.olga)):
            assert (event["actor_kind"], event["actor_id"]) == ("staff", "")
            assert (event["address"], event["user_agent"]) == ("", "")
            assert event["request_id"] == "req_1"
            assert event["before"] != event["after"]

    def test_another_merchants_events_are_not_shown(self) -> None:
        api_key, _ = issue_key(self.bookshop)
        assert self.shown() == []
        theirs = self.path.replace(self.bakery.id, self.bookshop.id)
        assert self.data(self.get(theirs, self.ana))[0]["object_id"] == api_key.id

    def test_they_come_newest_first_page_by_page(self) -> None:
        self.happened(*(NOON + n * MINUTE for n in (2, 0, 4, 1, 3)))
        assert self.shown() == ["o2", "o4", "o0", "o3", "o1"]
        seen: list[str] = []
        url: str | None = f"/api/v1{self.path}?limit=2"
        while url is not None:
            body = self.client.get(url, **self.bearer(self.olga)).json()  # type: ignore[arg-type]
            seen += [event["object_id"] for event in body["data"]]
            url = body["meta"]["next"]
        assert seen == ["o2", "o4", "o0", "o3", "o1"]

    def test_they_narrow_to_a_kind(self) -> None:
        self.happened(NOON)
        self.happened(NOON + MINUTE, kind=Kind.MEMBER_ADDED)
        (event,) = self.data(self.get(f"{self.path}?kind=membership.added", self.olga))
        assert event["kind"] == "membership.added"
        assert self.shown("?kind=membership.removed") == []

    def test_they_narrow_to_a_period_whose_end_is_outside(self) -> None:
        self.happened(*(NOON + n * MINUTE for n in range(4)), NOON + timedelta(milliseconds=5))
        for query, expected in (
            ("?from=2026-02-03T12:01:00Z", ["o3", "o2", "o1"]),
            ("?to=2026-02-03T12:01:00Z", ["o4", "o0"]),
            ("?from=2026-02-03T12:00:00Z&to=2026-02-03T12:00:00.005Z", ["o0"]),
            ("?from=2026-02-03T12:00:00.000001Z&to=2026-02-03T12:02:00Z", ["o1", "o4"]),
            ("?from=2026-02-03T09:02:00-03:00&to=2026-02-03T12:03:00", ["o2"]),
            ("?from=2030-01-01T00:00:00Z", []),
            ("?to=1960-01-01T00:00:00Z", []),
            ("?from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59Z", ["o3", "o2", "o1", "o4", "o0"]),
        ):
            assert self.shown(query) == expected, query
        assert self.shown("?kind=api_key.changed&from=2026-02-03T12:02:00Z") == ["o3", "o2"]
        assert self.shown("?kind=api_key.issued&from=2026-02-03T12:02:00Z") == []

    def test_what_cannot_be_asked_is_refused_by_name(self) -> None:
        for query, field in (
            ("?kind=nonsense", "kind"),
            ("?kind=", "kind"),
            ("?kind=%00", "kind"),
            ("?kind=%ED%A0%80", "kind"),
            ("?from=yesterday", "from"),
            ("?to=", "to"),
            ("?to=9999-12-31T23:59:59-23:59", "to"),
            ("?from=2026-02-03T12:00:00Z&to=2026-02-03T12:00:00Z", "to"),
            ("?limit=0", "limit"),
            ("?limit=101", "limit"),
            ("?cursor=x", "cursor"),
        ):
            self.assert_invalid(self.get(self.path + query, self.olga), field)

    def test_only_owners_read_it(self) -> None:
        _, secret = issue_key(self.bakery)
        for caller in (self.mario, self.otto, secret):
            self.assert_forbidden(self.get(self.path, caller), "audit:read")
        self.assert_unauthorized(self.get(self.path))
        self.assert_not_found(self.get(self.path, self.ana))
        for merchant_id in ("mer_01HQGX3VJ8Z5Y6W7T8R9QPNM0K", "nonsense"):
            self.assert_not_found(self.get(f"/merchants/{merchant_id}/audit-events", self.root))
        assert self.get(self.path, self.root).status_code == 200

    def test_permission_is_judged_before_the_query(self) -> None:
        self.assert_forbidden(self.get(f"{self.path}?kind=x", self.mario), "audit:read")
        self.assert_not_found(self.get(f"{self.path}?kind=x", self.ana))

    def test_it_is_read_and_never_written(self) -> None:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert self.call(method, self.path, self.olga, {}).status_code == 405

    def test_it_takes_as_many_queries_for_many_events_as_for_few(self) -> None:
        self.shown()  # whoever asked once may be remembered
        counts = []
        for _ in range(2):
            self.happened(*(NOON + n * MINUTE for n in range(10)))
            with CaptureQueriesContext(connection) as queries:
                self.shown()
            counts.append(len(queries))
        assert counts[0] == counts[1] <= 3, counts  # the session, its memberships, the events

    def test_every_listing_is_read_along_an_index(self) -> None:
        AuditEvent.objects.bulk_create(
            AuditEvent(kind=kind, actor_kind="user", merchant_id=f"mer_{number % 20}")
            for number, kind in enumerate(list(Kind) * 60)
        )
        rows = AuditEvent.objects.filter(merchant_id=self.bakery.id).since(NOON).until(NOON)
        for kind in (None, Kind.API_KEY_ISSUED):
            asked: Any = rows if kind is None else rows.filter(kind=kind)
            plan = self.plan(asked.order_by("-id")[:26])
            index = "audit_by_merchant" if kind is None else "audit_by_merchant_and_kind"
            assert index in plan, plan
            assert "Sort" not in plan, plan
            assert "TEMP B-TREE" not in plan, plan

    def plan(self, rows: Any) -> str:
        """How the database would read so many of a long list."""
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE audit_auditevent")
        return str(rows.explain())
