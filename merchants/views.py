"""Merchants, their accounts and their members. Thin: each view parses, asks a model, answers."""

from http import HTTPStatus
from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from fluxiq import ids
from fluxiq.errors import Forbidden, NotFound
from fluxiq.scopes import Scope
from fluxiq.views import ApiView, data, no_content
from merchants.models import Membership, Merchant, PaymentAccount, only_merchant, require
from merchants.serializers import (
    AccountChange,
    AccountCreation,
    AccountSerializer,
    MemberChange,
    MemberInvitation,
    MemberSerializer,
    MerchantSerializer,
)


class MerchantListView(ApiView):
    """The merchants that the caller belongs to."""

    required_permissions: ClassVar = {"GET": None}

    def get(self, request: Request) -> Response:
        return self.page(Merchant.objects.at_merchants_of(self.principal), MerchantSerializer)


class MerchantView(ApiView):
    """One merchant that the caller belongs to."""

    required_permissions: ClassVar = {"GET": None}

    def get(self, request: Request, merchant_id: str) -> Response:
        merchant = Merchant.objects.at_merchants_of(self.principal).filter(pk=merchant_id).first()
        if merchant is None:
            raise NotFound
        if not self.principal.permissions_at(merchant.id):
            raise Forbidden
        return data(MerchantSerializer, merchant)


class AccountListView(ApiView):
    """Payment accounts (`merchants.PaymentAccount`) of the caller's merchants."""

    required_permissions: ClassVar = {"GET": Scope.ACCOUNTS_READ, "POST": Scope.ACCOUNTS_WRITE}

    def get(self, request: Request) -> Response:
        rows = PaymentAccount.objects.listed_for(
            self.principal, Scope.ACCOUNTS_READ, request.query_params.get("merchant_id")
        )
        return self.page(rows, AccountSerializer)

    def post(self, request: Request) -> Response:
        body = self.read(AccountCreation)
        merchant_id = only_merchant(self.principal, body.get("merchant_id"))
        require(self.principal, Scope.ACCOUNTS_WRITE, merchant_id)
        account = PaymentAccount.objects.open(Merchant.objects.get(pk=merchant_id), body["name"])
        return data(AccountSerializer, account, HTTPStatus.CREATED)


class AccountView(ApiView):
    """One payment account."""

    required_permissions: ClassVar = {"GET": Scope.ACCOUNTS_READ, "PATCH": Scope.ACCOUNTS_WRITE}

    def _account(self, account_id: str) -> PaymentAccount:
        rows = PaymentAccount.objects.at_merchants_of(self.principal)
        return self.judged(rows, ids.Prefix.ACCOUNT, account_id)

    def get(self, request: Request, account_id: str) -> Response:
        return data(AccountSerializer, self._account(account_id))

    def patch(self, request: Request, account_id: str) -> Response:
        account = self._account(account_id)
        account.change(self.read(AccountChange))
        return data(AccountSerializer, account)


class MemberListView(ApiView):
    """The members of the caller's merchants."""

    required_permissions: ClassVar = {"GET": Scope.USERS_READ, "POST": Scope.USERS_WRITE}

    def get(self, request: Request) -> Response:
        rows = Membership.objects.listed_for(
            self.principal, Scope.USERS_READ, request.query_params.get("merchant_id")
        )
        return self.page(rows, MemberSerializer)

    def post(self, request: Request) -> Response:
        body = self.read(MemberInvitation)
        merchant_id = only_merchant(self.principal, body.pop("merchant_id", None))
        require(self.principal, Scope.USERS_WRITE, merchant_id)
        merchant = Merchant.objects.get(pk=merchant_id)
        membership, invitation = Membership.objects.invite(self.principal, merchant, **body)
        return data(MemberSerializer, membership, HTTPStatus.CREATED, invitation=invitation)


class MemberView(ApiView):
    """One member."""

    required_permissions: ClassVar = {
        "GET": Scope.USERS_READ,
        "PATCH": Scope.USERS_WRITE,
        "DELETE": Scope.USERS_WRITE,
    }

    def _member(self, membership_id: str) -> Membership:
        rows = Membership.objects.at_merchants_of(self.principal)
        return self.judged(rows, ids.Prefix.MEMBERSHIP, membership_id)

    def get(self, request: Request, membership_id: str) -> Response:
        return data(MemberSerializer, self._member(membership_id))

    def patch(self, request: Request, membership_id: str) -> Response:
        membership = self._member(membership_id)
        membership.change(self.principal, self.read(MemberChange))
        return data(MemberSerializer, membership)

    def delete(self, request: Request, membership_id: str) -> Response:
        self._member(membership_id).end(self.principal)
        return no_content()
