"""The compare-and-swap of refresh tokens: all of it, or nothing."""

from datetime import timedelta
from unittest import mock

from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from authn import rotation, sessions
from authn.models import Session
from authn.tokens import new_jti
from fluxiq.tests.base import ApiTestCase


class SwapTests(ApiTestCase):
    def setUp(self) -> None:
        sessions.start(self.olga)
        self.session = Session.objects.select_related("current").get(user=self.olga)
        assert self.session.current
        self.retired = self.session.current

    def successor(self) -> OutstandingToken:
        now = timezone.now().replace(microsecond=0)
        return OutstandingToken(
            user_id=self.olga.id,
            jti=new_jti(),
            token="",
            created_at=now,
            expires_at=now + timedelta(days=3),
        )

    def swap(self, successor: OutstandingToken) -> bool:
        return rotation.swap(self.session.id, self.retired, successor, timezone.now())

    def assert_nothing_changed(self) -> None:
        before = self.session
        self.session = Session.objects.get(pk=before.pk)
        for name in ("current_id", "retired_jti", "rotated_at", "last_used_at", "expires_at"):
            assert getattr(self.session, name) == getattr(before, name), name
        assert OutstandingToken.objects.filter(user=self.olga).count() == 1

    def test_the_session_points_at_the_successor_and_the_other_is_blacklisted(self) -> None:
        successor = self.successor()
        assert self.swap(successor)
        session = Session.objects.select_related("current").get(pk=self.session.pk)
        assert session.current
        kept, told = session.current, (successor.jti, successor.created_at, successor.expires_at)
        assert (kept.jti, kept.created_at, kept.expires_at) == told
        assert (kept.user_id, kept.token) == (self.olga.id, "")
        assert session.retired_jti == self.retired.jti
        assert session.rotated_at == session.last_used_at != self.session.last_used_at
        assert session.expires_at == successor.expires_at
        assert [b.token_id for b in BlacklistedToken.objects.all()] == [self.retired.pk]

    def test_a_token_serves_once(self) -> None:
        assert self.swap(self.successor())
        current = Session.objects.get(pk=self.session.pk).current_id
        assert not self.swap(self.successor())
        assert Session.objects.get(pk=self.session.pk).current_id == current
        assert OutstandingToken.objects.filter(user=self.olga).count() == 2

    def test_a_session_that_is_over_makes_none(self) -> None:
        Session.objects.filter(pk=self.session.pk).update(ended_at=timezone.now())
        assert not self.swap(self.successor())
        self.assert_nothing_changed()
        assert not BlacklistedToken.objects.exists()

    def test_a_session_that_is_gone_makes_none(self) -> None:
        assert not rotation.swap("ses_none", self.retired, self.successor(), timezone.now())
        self.assert_nothing_changed()


class SwapInStepsTests(SwapTests):
    """As SQLite does it, which the rest of this file leaves to PostgreSQL's one statement."""

    def setUp(self) -> None:
        super().setUp()
        self.enterContext(
            mock.patch("authn.rotation.database.speaks_postgresql", return_value=False)
        )
