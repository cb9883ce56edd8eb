"""The use of an API key past its end, in the audit trail."""

import sqlite3
from datetime import timedelta
from unittest import mock

import pytest
from django.utils import timezone

from authn.tests.usage import HOUR, NOON, UsageTestCase
from fluxiq import counters
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.errors import ServiceUnavailable
from fluxiq.tests.factories import issue_key


class PastEndTests(UsageTestCase):
    def events(self) -> list[AuditEvent]:
        """What the trail tells of uses past an end."""
        return list(AuditEvent.objects.filter(kind=Kind.API_KEY_USED_PAST_END))

    def test_where_this_machine_cannot_count_nothing_passes(self) -> None:
        self.api_key.revoke()
        full = sqlite3.OperationalError("database or disk is full")
        with (
            mock.patch.object(type(counters.of_requests()), "once", side_effect=full),
            pytest.raises(ServiceUnavailable),
        ):
            self.api_key.audit_use_past_end()
        assert self.events() == []

    def test_the_use_of_a_revoked_key_is_audited_once_an_hour(self) -> None:
        self.api_key.revoke("leaked")
        with self.at(NOON + timedelta(days=9999)):
            self.use("/accounts", "/users", "/nowhere", "/openapi.json", REMOTE_ADDR="203.0.113.5")
        (event,) = self.events()
        assert (event.object_id, event.merchant_id) == (self.api_key.id, self.bakery.id)
        assert (event.actor_kind, event.actor_id) == ("api_key", self.api_key.id)
        assert event.address == "203.0.113.5"
        assert self.api_key.revoked_at is not None
        assert event.after == {
            "expires_at": None,
            "revoked_at": self.api_key.revoked_at.isoformat(),
        }
        assert self.secret not in repr(event.__dict__)
        with self.at(NOON + timedelta(days=9999) + HOUR):
            self.use("/accounts", times=2)
        assert len(self.events()) == 2

    def test_so_is_that_of_an_expired_key_and_of_one_past_its_grace(self) -> None:
        self.api_key.change({"expires_at": timezone.now() + HOUR})
        rotated, secret = issue_key(self.bakery)
        rotated.rotate(HOUR)
        with self.at(timezone.now() + HOUR):
            self.use("/accounts")
            self.assert_unauthorized(self.get("/accounts", secret))
        assert {event.object_id for event in self.events()} == {self.api_key.id, rotated.id}

    def test_a_live_key_that_is_refused_is_not_past_its_end(self) -> None:
        self.api_key.change({"allowed_ips": ["203.0.113.0/24"]})
        self.use("/accounts")
        self.api_key.change({"allowed_ips": []})
        self.bakery.suspend()
        self.use("/accounts")
        self.bakery.resume()
        self.use("/users")
        rotated, secret = issue_key(self.bakery)
        rotated.rotate(HOUR)
        self.get("/accounts", secret)
        assert self.events() == []

    def test_the_answer_does_not_tell_a_dead_key_from_an_unknown_one(self) -> None:
        self.api_key.revoke()
        self.assert_unauthorized(self.get("/accounts", self.secret))
