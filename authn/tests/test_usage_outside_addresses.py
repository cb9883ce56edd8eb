"""The use of a live API key from outside its allowed addresses, in the audit trail."""

import sqlite3
from unittest import mock

from authn.tests.usage import HOUR, NOON, UsageTestCase
from fluxiq import counters
from fluxiq.audit.models import AuditEvent, Kind

INSIDE, OUTSIDE = "203.0.113.5", "198.51.100.9"


class OutsideAddressesTests(UsageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api_key.change({"allowed_ips": ["203.0.113.0/24"]})

    def events(self) -> list[AuditEvent]:
        """The events of such uses."""
        return list(AuditEvent.objects.filter(kind=Kind.API_KEY_USED_OUTSIDE_ALLOWED_IPS))

    def test_it_is_audited_once_an_hour_with_the_address(self) -> None:
        with self.at(NOON):
            self.use("/accounts", "/users", "/nowhere", REMOTE_ADDR=OUTSIDE)
        (event,) = self.events()
        assert (event.object_id, event.merchant_id) == (self.api_key.id, self.bakery.id)
        assert (event.actor_kind, event.actor_id) == ("api_key", self.api_key.id)
        assert event.address == OUTSIDE
        assert event.after == {"allowed_ips": ["203.0.113.0/24"]}
        assert self.secret not in repr(event.__dict__)
        with self.at(NOON + HOUR):
            self.use("/accounts", times=2, REMOTE_ADDR=OUTSIDE)
        assert len(self.events()) == 2

    def test_the_answer_is_that_of_an_unknown_key(self) -> None:
        self.assert_unauthorized(self.get("/accounts", self.secret, REMOTE_ADDR=OUTSIDE))

    def test_a_use_from_inside_is_none(self) -> None:
        assert self.use("/accounts", REMOTE_ADDR=INSIDE) == [200]
        assert self.events() == []

    def test_a_key_that_ended_is_told_as_past_its_end_alone(self) -> None:
        self.api_key.revoke()
        self.use("/accounts", REMOTE_ADDR=OUTSIDE)
        assert self.events() == []
        assert AuditEvent.objects.filter(kind=Kind.API_KEY_USED_PAST_END).count() == 1

    def test_the_merchants_owner_sees_it(self) -> None:
        self.use("/accounts", REMOTE_ADDR=OUTSIDE)
        path = f"/merchants/{self.bakery.id}/audit-events?kind=api_key.used_outside_allowed_ips"
        (seen,) = self.data(self.get(path, self.olga))
        assert (seen["object_id"], seen["address"]) == (self.api_key.id, OUTSIDE)

    def test_where_this_machine_cannot_count_the_answer_is_503(self) -> None:
        full = sqlite3.OperationalError("database or disk is full")
        with mock.patch.object(type(counters.of_requests()), "once", side_effect=full):
            self.error(self.get("/accounts", self.secret, REMOTE_ADDR=OUTSIDE), 503)
        assert self.events() == []
