"""The database refuses each impossible row, whoever writes it."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone

from accounts.models import User
from authn.models import ApiKey, Session
from fluxiq import ids
from fluxiq.scopes import Role
from fluxiq.tests.base import ApiTestCase
from fluxiq.tests.factories import issue_key
from merchants.models import Membership, Merchant, PaymentAccount


class ConstraintTestCase(ApiTestCase):
    def assert_refused(self, constraint: str, rows: Any, **columns: Any) -> None:
        """Updating these rows so breaks that constraint."""
        with pytest.raises(IntegrityError) as caught, transaction.atomic():
            models.QuerySet.update(rows, **columns)
        assert constraint in str(caught.value)

    def assert_not_insertable(self, constraint: str, row: models.Model) -> None:
        """Inserting this row past the model's own rules breaks that constraint."""
        with pytest.raises(IntegrityError) as caught, transaction.atomic():
            type(row)._default_manager.bulk_create([row])
        assert constraint in str(caught.value)

    def assert_not_twice(self, constraint: str, columns: str, row: models.Model) -> None:
        """Inserting this row breaks that uniqueness, which SQLite names by its columns."""
        self.assert_not_insertable(
            constraint if connection.vendor == "postgresql" else columns, row
        )


class MerchantConstraintTests(ConstraintTestCase):
    def test_a_status_that_is_unknown(self) -> None:
        rows = Merchant.objects.filter(pk=self.bakery.pk)
        for status in ("", "closed", "ACTIVE", "active "):
            self.assert_refused("merchant_status_is_known", rows, status=status)
        row = Merchant(name="x", document="12345678901", status="gone")
        self.assert_not_insertable("merchant_status_is_known", row)

    def test_a_document_that_is_neither_cpf_nor_cnpj(self) -> None:
        rows = Merchant.objects.filter(pk=self.bakery.pk)
        for document in ("", "1", "1234567890", "123456789012", "1234567890123"):
            self.assert_refused("merchant_document_is_cpf_or_cnpj", rows, document=document)

    def test_a_document_twice(self) -> None:
        row = Merchant(name="x", document=self.bakery.document)
        self.assert_not_twice("merchants_merchant_document", "merchants_merchant.document", row)


class UserConstraintTests(ConstraintTestCase):
    def test_a_document_that_is_neither_cpf_nor_cnpj(self) -> None:
        rows = User.objects.filter(pk=self.olga.pk)
        for document in ("", "1234567890", "123456789012"):
            self.assert_refused("user_document_is_cpf_or_cnpj", rows, document=document)

    def test_a_document_twice(self) -> None:
        row = User(name="x", document=self.olga.document, password="x")
        self.assert_not_twice("accounts_user_document", "accounts_user.document", row)


class MembershipConstraintTests(ConstraintTestCase):
    NAME = "membership_is_invited_or_bound_to_a_user"

    def setUp(self) -> None:
        super().setUp()
        self.ottos = Membership.objects.filter(user=self.otto)
        self.invited = Membership.objects.filter(
            pk=Membership.objects.create(
                merchant=self.bakery,
                document="98765432100",
                name="Nina",
                role=Role.OPERATOR,
                status=Membership.Status.INVITED,
                invitation_digest=b"d" * 32,
                invitation_expires_at=timezone.now(),
            ).pk
        )

    def test_a_role_that_is_unknown(self) -> None:
        for role in ("", "admin", "Owner", "*"):
            self.assert_refused("membership_role_is_known", self.ottos, role=role)

    def test_a_status_that_is_unknown(self) -> None:
        for status in ("", "suspended", "ACTIVE"):
            self.assert_refused(self.NAME, self.ottos, status=status)

    def test_one_in_force_without_a_user(self) -> None:
        for status in ("active", "inactive"):
            self.assert_refused(self.NAME, self.ottos, status=status, user=None)

    def test_one_in_force_with_an_invitation_left(self) -> None:
        self.assert_refused(self.NAME, self.ottos, invitation_digest=b"x" * 32)

    def test_one_invited_with_a_user(self) -> None:
        self.assert_refused(self.NAME, self.invited, user=self.ana)
        self.assert_refused(self.NAME, self.invited, status="active")
        self.assert_refused(self.NAME, self.invited, status="active", user=self.ana)

    def test_one_invited_without_an_invitation(self) -> None:
        self.assert_refused(self.NAME, self.invited, invitation_digest=None)
        self.assert_refused(self.NAME, self.ottos, status="invited")
        self.assert_refused(self.NAME, self.ottos, status="invited", user=None)

    def test_one_invited_for_ever(self) -> None:
        self.assert_refused("membership", self.invited, invitation_expires_at=None)

    def test_a_document_that_is_neither_cpf_nor_cnpj(self) -> None:
        for document in ("", "1", "123456789012"):
            self.assert_refused("membership_document", self.ottos, document=document)

    def test_a_document_twice_at_one_merchant(self) -> None:
        columns = "merchants_membership.merchant_id, merchants_membership.document"
        for user, document in ((self.ana, self.otto.document),):
            row = Membership(
                merchant=self.bakery, user=user, document=document, name="x", role="operator"
            )
            self.assert_not_twice("membership_once_per_document", columns, row)

    def test_a_user_twice_at_one_merchant(self) -> None:
        row = Membership(
            merchant=self.bakery, user=self.otto, document="11122233344", name="x", role="owner"
        )
        self.assert_not_insertable("membership", row)

    def test_one_invitation_for_two(self) -> None:
        row = Membership(
            merchant=self.bookshop,
            document="11122233344",
            name="x",
            role="operator",
            status="invited",
            invitation_digest=b"d" * 32,
            invitation_expires_at=timezone.now(),
        )
        columns = "merchants_membership.invitation_digest"
        self.assert_not_twice("merchants_membership_invitation_digest", columns, row)


class AccountConstraintTests(ConstraintTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.rows = PaymentAccount.objects.filter(pk=self.till.pk)

    def test_a_status_that_is_unknown(self) -> None:
        for status in ("", "open", "CLOSED"):
            self.assert_refused("account_status_is_known", self.rows, status=status)

    def test_another_currency(self) -> None:
        for currency in ("USD", "", "brl"):
            self.assert_refused("account_currency_is_brl", self.rows, currency=currency)

    def test_a_number_twice_in_one_branch(self) -> None:
        row = PaymentAccount(merchant=self.bookshop, name="x", number=self.till.number)
        columns = "merchants_paymentaccount.branch, merchants_paymentaccount.number"
        self.assert_not_twice("account_number_is_unique", columns, row)

    def test_the_same_number_in_another_branch_is_another_account(self) -> None:
        row = PaymentAccount(merchant=self.bakery, name="x", number=self.till.number, branch="0002")
        assert PaymentAccount.objects.bulk_create([row])

    def test_one_of_no_merchant(self) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            models.QuerySet.update(self.rows, merchant=None)
        sid = transaction.savepoint()
        models.QuerySet.update(self.rows, merchant_id=ids.new_merchant_id())
        with pytest.raises(IntegrityError):
            connection.check_constraints()
        transaction.savepoint_rollback(sid)

    def test_a_balance_of_nothing_at_all(self) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            models.QuerySet.update(self.rows, balance=None)


class CredentialConstraintTests(ConstraintTestCase):
    def test_a_key_whose_limit_admits_nothing(self) -> None:
        api_key, _ = issue_key(self.bakery)
        rows = ApiKey.objects.filter(pk=api_key.pk)
        self.assert_refused("api_key_rate_limit_is_positive", rows, rate_limit=0)

    def test_a_key_that_expired_before_it_was_made(self) -> None:
        api_key, _ = issue_key(self.bakery)
        rows = ApiKey.objects.filter(pk=api_key.pk)
        for at in (api_key.created_at, api_key.created_at - timedelta(days=1)):
            self.assert_refused("api_key_expires_after_creation", rows, expires_at=at)

    def test_two_keys_of_one_secret(self) -> None:
        api_key, _ = issue_key(self.bakery)
        row = ApiKey(merchant=self.bookshop, name="x", digest=api_key.digest, pepper_id="p")
        self.assert_not_twice("authn_apikey_digest", "authn_apikey.digest", row)

    def test_a_key_that_succeeds_to_one_that_has_a_successor(self) -> None:
        api_key, _ = issue_key(self.bakery)
        api_key.rotate(timedelta(0))
        row = ApiKey(
            merchant=self.bakery, name="x", digest=b"y" * 32, pepper_id="p", rotated_from=api_key
        )
        self.assert_not_twice("authn_apikey_rotated_from", "authn_apikey.rotated_from_id", row)

    def test_a_session_that_expired_before_it_began(self) -> None:
        self.bearer(self.olga)
        rows = Session.objects.filter(user=self.olga)
        at = rows.get().created_at
        self.assert_refused("session_expires_after_creation", rows, expires_at=at)
