"""The people: one user for one document, however it is written; shut out and let in again."""

from typing import Any
from unittest import mock

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import TestCase, override_settings

from accounts.documents import InvalidDocument
from accounts.models import User
from authn.models import Session
from fluxiq import ids
from fluxiq.audit import models as audit
from fluxiq.audit.models import AuditEvent, Kind
from fluxiq.tests.base import ApiTestCase

DOCUMENT, PUNCTUATED, PASSWORD = "12345678901", "123.456.789-01", "correct horse battery"


def make(document: str = DOCUMENT, **fields: Any) -> User:
    return User.objects.create_user(document, PASSWORD, **{"name": "Olga", **fields})


class CreationTests(TestCase):
    def test_a_user_is_made_with_its_bare_document_and_a_hashed_password(self) -> None:
        user = make(PUNCTUATED, email="Olga@EXAMPLE.com")
        user.refresh_from_db()
        assert ids.is_valid(ids.Prefix.USER, user.id)
        assert user.document == DOCUMENT
        assert user.email == "Olga@example.com"
        assert user.check_password(PASSWORD)
        assert PASSWORD not in user.password
        assert (user.is_active, user.is_staff, user.is_superuser) == (True, False, False)

    def test_letters_of_a_cnpj_are_stored_in_upper_case(self) -> None:
        assert make("12.abc.345/01de-35").document == "12ABC34501DE35"

    def test_a_superuser_is_staff(self) -> None:
        user = User.objects.create_superuser(DOCUMENT, PASSWORD, name="Root")
        assert (user.is_superuser, user.is_staff) == (True, True)

    def test_staff_alone_is_no_superuser(self) -> None:
        user = make(is_staff=True)
        assert (user.is_superuser, user.is_staff) == (False, True)

    def test_without_a_password_nobody_signs_in(self) -> None:
        user = User.objects.create_user(DOCUMENT, name="Olga")
        assert not user.has_usable_password()
        assert not user.check_password("")
        assert not user.check_password("None")

    def test_what_is_no_document_makes_no_user(self) -> None:
        for bad in ("", "123", "1234567890\uff11", DOCUMENT + "\x00", "x" * 5000):
            with pytest.raises(InvalidDocument):
                make(bad)
        assert not User.objects.exists()
        assert not AuditEvent.objects.exists()

    def test_one_document_has_one_user_however_it_is_written(self) -> None:
        make()
        for again in (DOCUMENT, PUNCTUATED, f" {PUNCTUATED} "):
            with pytest.raises(IntegrityError), transaction.atomic():
                make(again)
        assert User.objects.count() == 1
        assert AuditEvent.objects.count() == 1

    def test_the_case_of_letters_makes_no_second_user(self) -> None:
        make("12ABC34501DE35")
        with pytest.raises(IntegrityError), transaction.atomic():
            make("12abc34501de35")

    def test_making_one_leaves_one_event_without_a_secret(self) -> None:
        user = make(email="olga@example.com")
        event = AuditEvent.objects.get()
        assert (event.kind, event.object_id) == (Kind.USER_CREATED, user.id)
        assert event.after == {
            "document": user.masked_document,
            "name": "Olga",
            "is_superuser": False,
            "is_staff": False,
        }
        told = repr(AuditEvent.objects.values())
        assert PASSWORD not in told
        assert user.password not in told

    def test_a_user_whose_event_cannot_be_written_is_not_made(self) -> None:
        with (
            mock.patch.object(audit, "record", side_effect=RuntimeError),
            pytest.raises(RuntimeError),
        ):
            make()
        assert not User.objects.exists()

    @override_settings(VERIFY_DOCUMENT_CHECK_DIGITS=True)
    def test_check_digits_are_verified_where_the_deployment_asks(self) -> None:
        with pytest.raises(InvalidDocument):
            make(DOCUMENT)
        assert make("529.982.247-25").document == "52998224725"
        assert make("12.ABC.345/01DE-35").document == "12ABC34501DE35"

    def test_the_documented_document_signs_in_without_that(self) -> None:
        assert User.objects.for_document(PUNCTUATED) is None
        assert User.objects.for_document(make().document) is not None


class LookupTests(TestCase):
    def test_a_user_is_found_however_the_document_is_written(self) -> None:
        user = make("12ABC34501DE35")
        for written in ("12ABC34501DE35", "12.abc.345/01de-35", " 12.ABC.345/01DE-35 "):
            assert User.objects.for_document(written) == user
            assert User.objects.get_by_natural_key(written) == user

    def test_who_is_unknown_is_none(self) -> None:
        make()
        for other in ("12345678902", "", "nonsense", "12345678901\x00", "\ud800", "1" * 100_000):
            assert User.objects.for_document(other) is None
            with pytest.raises(User.DoesNotExist):
                User.objects.get_by_natural_key(other)

    def test_nobody_has_no_natural_key(self) -> None:
        with pytest.raises(User.DoesNotExist):
            User.objects.get_by_natural_key(None)

    def test_asking_for_what_is_no_document_asks_no_database(self) -> None:
        with self.assertNumQueries(0):
            User.objects.for_document("nonsense")

    def test_only_the_masked_document_is_told(self) -> None:
        user = make()
        assert str(user) == "Olga (***.456.789-**)"
        assert DOCUMENT not in repr(user)


class CleanTests(TestCase):
    def cleaned(self, document: str, **fields: Any) -> User:
        user = User(document=document, name="Olga", password="x", **fields)
        user.full_clean()
        return user

    def test_a_document_is_kept_bare_and_the_domain_of_an_email_in_lower_case(self) -> None:
        assert self.cleaned(PUNCTUATED, email="O@EXAMPLE.com").document == DOCUMENT
        assert self.cleaned(DOCUMENT, email="O@EXAMPLE.com").email == "O@example.com"

    def test_what_is_no_document_is_a_validation_error(self) -> None:
        for bad in ("", "123", "1234567890A", "1234567890\uff11"):
            with pytest.raises(ValidationError) as caught:
                self.cleaned(bad)
            assert "document" in caught.value.message_dict

    def test_a_document_that_is_taken_is_a_validation_error_however_it_is_written(self) -> None:
        make()
        with pytest.raises(ValidationError) as caught:
            self.cleaned(PUNCTUATED)
        assert "document" in caught.value.message_dict


class AccessTests(ApiTestCase):
    def events(self, kind: Kind) -> int:
        return AuditEvent.objects.filter(kind=kind, object_id=self.olga.id).count()

    def test_a_user_shut_out_is_refused_at_the_next_request(self) -> None:
        assert self.get("/accounts", self.olga).status_code == 200
        self.olga.deactivate("left the company")
        self.assert_unauthorized(self.get("/accounts", self.olga))
        assert not Session.objects.live().filter(user=self.olga).exists()

    def test_others_go_on(self) -> None:
        self.bearer(self.mario)
        self.olga.deactivate()
        assert self.get("/accounts", self.mario).status_code == 200

    def test_it_is_recorded_once_with_its_reason(self) -> None:
        self.olga.deactivate("left the company")
        User.objects.get(pk=self.olga.pk).deactivate("again")
        assert self.events(Kind.USER_DEACTIVATED) == 1
        event = AuditEvent.objects.get(kind=Kind.USER_DEACTIVATED)
        assert event.after == {"is_active": False, "reason": "left the company"}

    def test_let_in_again_sessions_that_ended_stay_ended(self) -> None:
        self.bearer(self.olga)
        self.olga.deactivate()
        self.olga.reactivate()
        assert User.objects.get(pk=self.olga.pk).is_active
        self.assert_unauthorized(self.get("/accounts", self.olga))
        self._tokens.clear()
        assert self.get("/accounts", self.olga).status_code == 200
        self.olga.reactivate()
        assert self.events(Kind.USER_REACTIVATED) == 1

    def test_a_stale_copy_shuts_out_and_lets_in_all_the_same(self) -> None:
        stale = User.objects.get(pk=self.olga.pk)
        self.olga.deactivate()
        stale.reactivate()
        assert User.objects.get(pk=self.olga.pk).is_active
        assert stale.is_active

    def test_shutting_out_touches_no_other_column(self) -> None:
        stale = User.objects.get(pk=self.olga.pk)
        User.objects.filter(pk=self.olga.pk).update(name="Renamed meanwhile")
        stale.deactivate()
        assert User.objects.get(pk=self.olga.pk).name == "Renamed meanwhile"

    def test_who_cannot_be_recorded_is_not_shut_out(self) -> None:
        self.bearer(self.olga)
        with (
            mock.patch.object(audit, "record", side_effect=RuntimeError),
            pytest.raises(RuntimeError),
        ):
            self.olga.deactivate()
        assert User.objects.get(pk=self.olga.pk).is_active
        assert self.get("/accounts", self.olga).status_code == 200
