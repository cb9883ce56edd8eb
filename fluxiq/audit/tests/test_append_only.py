"""Audit events are added and read, and nothing else, whichever way of the ORM is tried."""

import pytest
from django.db import IntegrityError, transaction

from fluxiq.audit import models as audit
from fluxiq.audit.models import AppendOnlyError, AuditEvent, Kind
from fluxiq.tests.base import ApiTestCase
from merchants.models import Merchant


class TrailTests(ApiTestCase):
    """Audit events are added and read, and nothing else, through the ORM."""

    def setUp(self) -> None:
        super().setUp()
        self.event = audit.record(
            Kind.MERCHANT_SUSPENDED, object_id=self.bakery.id, merchant_id=self.bakery.id
        )
        self.all = AuditEvent.objects.all()
        self.before = list(self.all.order_by("id").values())

    def assert_kept(self) -> None:
        assert list(AuditEvent.objects.order_by("id").values()) == self.before

    def test_rows_cannot_be_updated(self) -> None:
        with pytest.raises(AppendOnlyError):
            self.all.update(kind="x")
        with pytest.raises(AppendOnlyError):
            AuditEvent.objects.filter(pk=self.event.pk).update(actor_id="usr_x")
        with pytest.raises(AppendOnlyError):
            AuditEvent.objects.update(before={})
        self.assert_kept()

    def test_rows_cannot_be_deleted(self) -> None:
        for rows in (self.all, AuditEvent.objects.filter(pk=self.event.pk), self.all.none()):
            with pytest.raises(AppendOnlyError):
                rows.delete()
        self.assert_kept()

    def test_one_event_cannot_be_changed(self) -> None:
        self.event.actor_id = "usr_x"
        with pytest.raises(AppendOnlyError):
            self.event.save()
        with pytest.raises(AppendOnlyError):
            self.event.save(update_fields=["actor_id"])
        with pytest.raises(AppendOnlyError):
            AuditEvent.objects.get(pk=self.event.pk).save(force_update=True)
        self.assert_kept()

    def test_one_event_cannot_be_deleted(self) -> None:
        with pytest.raises(AppendOnlyError):
            self.event.delete()
        self.assert_kept()

    def test_many_cannot_be_changed_at_once(self) -> None:
        self.event.actor_id = "usr_x"
        with pytest.raises(AppendOnlyError), transaction.atomic():
            AuditEvent.objects.bulk_update([self.event], ["actor_id"])
        with pytest.raises(AppendOnlyError), transaction.atomic():
            AuditEvent.objects.update_or_create(pk=self.event.pk, defaults={"actor_id": "usr_x"})
        self.assert_kept()

    def test_a_copy_with_the_same_id_does_not_take_its_place(self) -> None:
        def copy() -> AuditEvent:
            return AuditEvent(id=self.event.id, kind=Kind.STAFF_ACTION, actor_kind="system")

        for options in ({}, {"force_update": True}, {"update_fields": ["kind"]},
                        {"force_insert": True}):  # fmt: skip
            with (
                self.subTest(str(options)),
                pytest.raises((AppendOnlyError, IntegrityError)),
                transaction.atomic(),
            ):
                copy().save(**options)
        self.assert_kept()

    def test_bulk_creation_overwrites_nothing(self) -> None:
        copy = AuditEvent(id=self.event.id, kind=Kind.STAFF_ACTION, actor_kind="system")
        with pytest.raises((AppendOnlyError, IntegrityError)), transaction.atomic():
            AuditEvent.objects.bulk_create([copy])
        with pytest.raises((AppendOnlyError, IntegrityError)), transaction.atomic():
            AuditEvent.objects.bulk_create(
                [copy], update_conflicts=True, update_fields=["kind"], unique_fields=["id"]
            )
        with pytest.raises((AppendOnlyError, IntegrityError)), transaction.atomic():
            AuditEvent.objects.bulk_create([copy], None, False, True, ["kind"], ["id"])
        self.assert_kept()

    def test_the_base_manager_is_no_way_round(self) -> None:
        rows = AuditEvent._base_manager.filter(pk=self.event.pk)
        with pytest.raises(AppendOnlyError):
            rows.update(actor_id="usr_x")
        with pytest.raises(AppendOnlyError):
            rows.delete()
        self.assert_kept()

    def test_the_trail_outlives_what_it_speaks_of(self) -> None:
        merchant = Merchant.objects.open("Kiosk", "12ABC34501DE35")
        merchant_id = merchant.id
        merchant.delete()
        assert AuditEvent.objects.filter(merchant_id=merchant_id).count() == 1

    def test_an_event_goes_with_the_transaction_of_its_change(self) -> None:
        with transaction.atomic():
            self.bookshop.suspend()
            assert AuditEvent.objects.count() == len(self.before) + 1
            transaction.set_rollback(True)
        assert not Merchant.objects.get(pk=self.bookshop.pk).is_suspended
        self.assert_kept()
