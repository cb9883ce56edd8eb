"""Callers of an SQLite database: not read again while it has not changed, and read as soon as it
has."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from unittest import mock

import pytest
from django.db import connection, transaction
from django.test import TransactionTestCase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authn import sessions
from authn.models import ApiKey
from fluxiq.scopes import Role
from fluxiq.tests.factories import MembershipFactory, MerchantFactory, UserFactory, issue_key

pytestmark = pytest.mark.skipif(
    bool(os.environ.get("TEST_DATABASE_URL")), reason="the database is not in the process"
)

VERIFY = "/api/v1/auth/verify?permission=accounts:write"


@contextmanager
def elsewhere() -> Iterator[sqlite3.Connection]:
    """Another connection to the same database, as another process has one."""
    with closing(sqlite3.connect(connection.settings_dict["NAME"])) as other:
        yield other
        other.commit()


class UnchangedTests(TransactionTestCase):
    def setUp(self) -> None:
        self.merchant = MerchantFactory.create()
        self.user = UserFactory.create()
        MembershipFactory.create(merchant=self.merchant, user=self.user, role=Role.MANAGER)
        self.api_key, self.secret = issue_key(self.merchant, "accounts:write")
        self.token = sessions.start(self.user).access_token

    def ask(self, credential: str) -> int:
        header = f"Bearer {credential}"
        return self.client.get(VERIFY, headers={"Authorization": header}).status_code

    def queries(self, credential: str, status: int = 200) -> int:
        """How often the database was read for one request."""
        with CaptureQueriesContext(connection) as captured:
            assert self.ask(credential) == status
        return len(captured)

    def test_a_caller_is_read_once_while_nothing_changes(self) -> None:
        for credential in (self.secret, self.token):
            assert self.queries(credential) > 0
            assert self.queries(credential) == 0

    def test_what_another_process_commits_holds_at_the_next_request(self) -> None:
        assert [self.ask(self.secret), self.ask(self.secret)] == [200, 200]
        with elsewhere() as other:
            other.execute("UPDATE authn_apikey SET revoked_at = '2026-01-01 00:00:00'")
        assert self.ask(self.secret) == 401

        assert [self.ask(self.token), self.ask(self.token)] == [200, 200]
        with elsewhere() as other:
            other.execute("UPDATE merchants_membership SET role = 'operator'")
        assert self.ask(self.token) == 403

    def test_what_this_process_commits_holds_at_the_next_request(self) -> None:
        for credential in (self.secret, self.token):
            assert [self.ask(credential), self.ask(credential)] == [200, 200]
        self.api_key.revoke()
        self.user.deactivate()
        for credential in (self.secret, self.token):
            assert self.ask(credential) == 401

    def test_what_is_rolled_back_was_never_so(self) -> None:
        assert self.ask(self.secret) == 200
        with transaction.atomic():
            ApiKey.objects.update(permissions=["accounts:read"])
            assert self.ask(self.secret) == 403
            transaction.set_rollback(True)
        assert self.ask(self.secret) == 200

    def test_an_end_comes_without_a_change(self) -> None:
        self.api_key.change({"expires_at": timezone.now() + timedelta(hours=1)})
        assert [self.ask(self.secret), self.ask(self.secret)] == [200, 200]
        later = timezone.now() + timedelta(hours=2)
        with (
            mock.patch("django.utils.timezone.now", return_value=later),
            mock.patch("authn.unchanged.time.time", return_value=later.timestamp()),
        ):
            assert self.ask(self.secret) == 401

    def test_a_key_bound_to_addresses_is_read_each_time(self) -> None:
        self.api_key.change({"allowed_ips": ["127.0.0.0/8"]})
        assert self.ask(self.secret) == 200
        assert self.queries(self.secret) > 0

    def test_what_is_kept_is_bounded(self) -> None:
        with mock.patch("authn.unchanged.MAX_KEPT", 3):
            keys = [issue_key(self.merchant, "accounts:write")[1] for _ in range(6)]
            for secret in keys:
                assert self.ask(secret) == 200
            assert [self.queries(secret) > 0 for secret in keys[:2]] == [True, True]
            assert self.queries(keys[1]) == 0
