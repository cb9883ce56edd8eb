"""The rules of a session, asked without HTTP: start, rotate, end."""

from datetime import timedelta
from unittest import mock

import pytest
from django.conf import settings
from django.core import mail
from django.test import override_settings
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from accounts.models import User
from authn import sessions
from authn.models import Session
from authn.tests.tokens import part
from authn.tokens import AccessToken, RefreshToken, new_jti
from fluxiq import origin
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.errors import Unauthorized
from fluxiq.tests.base import ApiTestCase

# Half an hour ago, to the second: tokens of now on would not be believed yet.
BEGUN = timezone.now().replace(microsecond=0) - timedelta(minutes=30)
WEEK = timedelta(days=7)
LAPTOP = origin.Origin(address="203.0.113.9", user_agent="laptop/1.0")
ELSEWHERE = origin.Origin(address="198.51.100.7", user_agent="thief/1.0")


def start(user: User, *, second_factor: str = "") -> sessions.TokenPair:
    with origin.working_as(LAPTOP):
        return sessions.start(user, second_factor)


def refreshed(token: str) -> sessions.TokenPair:
    return sessions.rotate(sessions.present(token))


def session_of(pair: sessions.TokenPair) -> Session:
    return Session.objects.select_related("current").get(pk=part(pair.access_token, 1)["sid"])


def token_of(session: Session, user: User, kind: type[AccessToken | RefreshToken]) -> str:
    """A token of ours that names this session and this user."""
    now = timezone.now()
    token = kind()
    token.bind(
        session_id=session.id, user_id=user.id, jti=new_jti(),
        issued_at=now, expires_at=now + timedelta(minutes=5),
    )  # fmt: skip
    return str(token)


class StartTests(ApiTestCase):
    def test_it_keeps_who_signed_in_when_where_and_how(self) -> None:
        with self.at(BEGUN.replace(microsecond=987_654)):
            session = session_of(start(self.olga, second_factor="totp"))
        assert session.user == self.olga
        assert (session.created_at, session.last_used_at) == (BEGUN, BEGUN)
        assert (session.address, session.user_agent) == ("203.0.113.9", "laptop/1.0")
        assert session.second_factor == "totp"
        assert session.expires_at == BEGUN + WEEK

    def test_its_first_refresh_token_is_on_record_without_the_token(self) -> None:
        with self.at(BEGUN):
            pair = start(self.olga)
        record = session_of(pair).current
        assert record is not None
        assert (record.user, record.token, record.jti) == (
            self.olga, "", part(pair.refresh_token, 1)["jti"],
        )  # fmt: skip
        assert (record.created_at, record.expires_at) == (BEGUN, BEGUN + WEEK)

    def test_the_tokens_tell_whole_seconds_from_now_to_their_end(self) -> None:
        with self.at(BEGUN.replace(microsecond=987_654)):
            pair = start(self.olga)
        begun = int(BEGUN.timestamp())
        for token, lifetime in ((pair.access_token, 900), (pair.refresh_token, 7 * 86_400)):
            claims = part(token, 1)
            assert (claims["iat"], claims["exp"]) == (begun, begun + lifetime)
        assert (pair.expires_in, pair.token_type) == (900, "Bearer")

    def test_the_audit_trail_tells_of_the_second_factor(self) -> None:
        session = session_of(start(self.olga, second_factor="recovery_code"))
        event = AuditEvent.objects.get(kind=Kind.SESSION_STARTED)
        assert event.object_id == session.id
        assert (event.actor_kind, event.actor_id) == ("user", self.olga.id)
        assert event.after == {"user_id": self.olga.id, "second_factor": "recovery_code"}

    def test_without_a_second_factor_none_is_told(self) -> None:
        with origin.working_as(LAPTOP):
            session = session_of(sessions.start(self.olga))
        assert session.second_factor == ""
        assert AuditEvent.objects.get(kind=Kind.SESSION_STARTED).after["second_factor"] == ""

    def test_a_session_that_cannot_be_audited_does_not_begin(self) -> None:
        with (
            mock.patch("authn.sessions.audit.record", side_effect=RuntimeError),
            pytest.raises(RuntimeError),
        ):
            start(self.olga)
        assert not Session.objects.exists()
        assert not OutstandingToken.objects.exists()


class PresentTests(ApiTestCase):
    def test_a_token_is_presented_with_its_session(self) -> None:
        pair = start(self.olga)
        presented = sessions.present(pair.refresh_token)
        assert presented.session == session_of(pair)
        assert presented.jti == part(pair.refresh_token, 1)["jti"]

    def test_session_and_record_are_read_at_once(self) -> None:
        token = start(self.olga).refresh_token
        with self.assertNumQueries(1):
            assert sessions.present(token).session.current is not None

    def test_a_token_that_names_the_session_of_another_is_refused(self) -> None:
        session = session_of(start(self.olga))
        with pytest.raises(Unauthorized):
            sessions.present(token_of(session, self.mario, RefreshToken))

    def test_a_token_expired_by_less_than_the_leeway_is_taken(self) -> None:
        with override_settings(SESSION_MAX_AGE=3600):
            pair = start(self.olga)
        claims = part(pair.refresh_token, 1)
        late = RefreshToken()
        late.bind(
            session_id=claims["sid"], user_id=claims["sub"], jti=claims["jti"],
            issued_at=timezone.now() - WEEK, expires_at=timezone.now() - timedelta(seconds=2),
        )  # fmt: skip
        assert sessions.present(str(late)).session == session_of(pair)


class RotateTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.olga.email = "olga@padaria.example"
        self.olga.save()

    def test_the_session_lives_on_from_the_refresh(self) -> None:
        with self.at(BEGUN):
            pair = start(self.olga)
        later = BEGUN + timedelta(minutes=10)
        with self.at(later.replace(microsecond=987_654)):
            new = refreshed(pair.refresh_token)
            session = session_of(new)
        assert part(new.refresh_token, 1)["exp"] == int((later + WEEK).timestamp())
        assert session.expires_at == later + WEEK
        assert session.last_used_at == session.rotated_at == later.replace(microsecond=987_654)
        assert session.retired_jti == part(pair.refresh_token, 1)["jti"]

    def test_what_is_given_is_the_record_that_the_session_points_at(self) -> None:
        new = refreshed(start(self.olga).refresh_token)
        record = session_of(new).current
        assert record is not None
        claims = part(new.refresh_token, 1)
        assert (claims["jti"], claims["sub"]) == (record.jti, self.olga.id)
        assert record.user == self.olga
        assert record.created_at is not None
        told = (int(record.created_at.timestamp()), int(record.expires_at.timestamp()))
        assert (claims["iat"], claims["exp"]) == told
        assert part(new.access_token, 1)["jti"] != claims["jti"]

    def test_a_lost_response_is_repeated_until_the_window_is_over(self) -> None:
        window = timedelta(seconds=settings.REFRESH_REUSE_SECONDS)
        with self.at(BEGUN):
            pair = start(self.olga)
            new = refreshed(pair.refresh_token)
        with self.at(BEGUN + window):
            assert refreshed(pair.refresh_token).refresh_token == new.refresh_token
        with self.at(BEGUN + window + timedelta(microseconds=1)), pytest.raises(Unauthorized):
            refreshed(pair.refresh_token)

    def test_who_was_overtaken_gets_the_successor_of_who_was_first(self) -> None:
        pair = start(self.olga)
        presented = sessions.present(pair.refresh_token)
        first = refreshed(pair.refresh_token)
        assert sessions.rotate(presented).refresh_token == first.refresh_token

    def test_a_session_that_ended_meanwhile_is_not_continued(self) -> None:
        presented = sessions.present(start(self.olga).refresh_token)
        sessions.end_all(self.olga, "test")
        with pytest.raises(Unauthorized):
            sessions.rotate(presented)
        assert not AuditEvent.objects.filter(kind=Kind.SESSION_REUSE_DETECTED).exists()

    def test_a_record_that_is_gone_or_has_no_time_makes_no_token(self) -> None:
        pair = start(self.olga)
        refreshed(pair.refresh_token)
        OutstandingToken.objects.update(created_at=None)
        with pytest.raises(Unauthorized):
            refreshed(pair.refresh_token)
        Session.objects.update(current=None)
        with pytest.raises(Unauthorized):
            refreshed(pair.refresh_token)

    def test_theft_is_told_to_the_trail_the_log_and_the_user(self) -> None:
        pair = start(self.olga)
        refreshed(refreshed(pair.refresh_token).refresh_token)
        session = session_of(pair)
        with (
            origin.working_as(ELSEWHERE),
            self.captureOnCommitCallbacks(execute=True),
            self.assertLogs("authn.sessions", "WARNING") as logged,
            pytest.raises(Unauthorized),
        ):
            refreshed(pair.refresh_token)
        event = AuditEvent.objects.get(kind=Kind.SESSION_REUSE_DETECTED)
        assert event.object_id == session.id
        assert event.after == {"user_id": self.olga.id, "signed_in_from": "203.0.113.9"}
        assert [record.getMessage() for record in logged.records] == [
            f"refresh token of {session.id} reused from 198.51.100.7 with 'thief/1.0':"
            " session ended"
        ]
        (notice,) = mail.outbox
        assert notice.to == ["olga@padaria.example"]

    def test_theft_is_told_once(self) -> None:
        first = start(self.olga).refresh_token
        newest = refreshed(refreshed(first).refresh_token).refresh_token
        stolen = sessions.Presented(part(first, 1)["jti"], sessions.present(newest).session)
        for _ in range(2):
            with self.captureOnCommitCallbacks(execute=True), pytest.raises(Unauthorized):
                sessions.rotate(stolen)
        assert AuditEvent.objects.filter(kind=Kind.SESSION_REUSE_DETECTED).count() == 1
        assert len(mail.outbox) == 1


class EndTests(ApiTestCase):
    def test_logging_out_is_the_reason(self) -> None:
        pair = start(self.olga)
        sessions.end_by_access_token(pair.access_token)
        assert session_of(pair).ended_reason == "logged out"

    def test_a_token_that_names_the_session_of_another_ends_nothing(self) -> None:
        session = session_of(start(self.olga))
        sessions.end_by_access_token(token_of(session, self.mario, AccessToken))
        assert Session.objects.live().filter(pk=session.pk).exists()

    def test_what_is_no_token_of_ours_ends_nothing(self) -> None:
        with pytest.raises(Unauthorized):
            sessions.end_by_access_token("rubbish")

    def test_all_of_a_user_end_but_the_one_excepted(self) -> None:
        kept, *others = (start(self.olga) for _ in range(3))
        start(self.mario)
        assert sessions.end_all(self.olga, "tidied", except_session=session_of(kept).id) == 2
        assert set(Session.objects.live()) == {
            session_of(kept),
            Session.objects.get(user=self.mario),
        }
        assert {session_of(pair).ended_reason for pair in others} == {"tidied"}
        assert sessions.end_all(self.olga, "tidied") == 1
