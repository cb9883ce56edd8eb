"""Merchants, their accounts and their members. Thin: each view parses, asks a model, answers."""

from http import HTTPStatus
from typing import ClassVar

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from fluxiq import ids
from fluxiq.errors import Conflict, Forbidden, NotFound
from fluxiq.schema import OF_MERCHANT, PAGE, enveloped, extended, paged
from fluxiq.scopes import Scope
from fluxiq.views import ApiView, data, no_content
from merchants.acting import acting_at
from merchants.models import (
    Membership,
    Merchant,
    PaymentAccount,
    merchants_listed,
    only_merchant,
)
from merchants.serializers import (
    AccountChange,
    AccountCreation,
    AccountSerializer,
    MemberChange,
    MemberInvitation,
    MemberSerializer,
    MerchantSerializer,
)

InvitedMember = extended(
    MemberSerializer, "InvitedMember", invitation=serializers.CharField(required=False)
)


class MerchantListView(ApiView):
    """The merchants that the caller belongs to."""

    tag = "Merchants"
    required_permissions: ClassVar = {"GET": None}

    @extend_schema(
        operation_id="listMerchants",
        summary="List your merchants",
        parameters=PAGE,
        responses={200: paged(MerchantSerializer)},
    )
    def get(self, request: Request) -> Response:
        return self.page(Merchant.objects.at_merchants_of(self.principal), MerchantSerializer)


class MerchantView(ApiView):
    """One merchant that the caller belongs to."""

    tag = "Merchants"
    required_permissions: ClassVar = {"GET": None}

    @extend_schema(
        operation_id="getMerchant",
        summary="Get a merchant",
        responses={200: enveloped(MerchantSerializer, "The merchant."), 403: Forbidden()},
    )
    def get(self, request: Request, merchant_id: str) -> Response:
        merchant = Merchant.objects.known_to(self.principal, merchant_id)
        if not self.principal.permissions_at(merchant.id):
            raise Forbidden
        return data(MerchantSerializer, merchant)


class AccountListView(ApiView):
    """Payment accounts (`merchants.PaymentAccount`) of the caller's merchants."""

    tag = "Accounts"
    required_permissions: ClassVar = {"GET": Scope.ACCOUNTS_READ, "POST": Scope.ACCOUNTS_WRITE}

    @extend_schema(
        operation_id="listAccounts",
        summary="List payment accounts",
        description="The payment accounts of every merchant where the permission is held.",
        parameters=[*PAGE, OF_MERCHANT],
        responses={200: paged(AccountSerializer), 404: NotFound},
    )
    def get(self, request: Request) -> Response:
        asked = (self.principal, Scope.ACCOUNTS_READ, request.query_params.get("merchant_id"))
        merchant_ids = merchants_listed(*asked)
        if merchant_ids is not None:
            accounts = PaymentAccount.objects
            whole = self.whole_list(lambda count: accounts.newest_shown(merchant_ids, count))
            if whole is not None:
                return whole
        return self.page(PaymentAccount.objects.listed_for(*asked), AccountSerializer)

    @extend_schema(
        operation_id="createAccount",
        summary="Open a payment account",
        description="Branch and number are given by the server. `merchant_id` may be left out by"
        " a caller who has one merchant.",
        request=AccountCreation,
        responses={201: enveloped(AccountSerializer, "The new account."), 404: NotFound},
    )
    def post(self, request: Request) -> Response:
        body = self.read(AccountCreation)
        merchant_id = only_merchant(self.principal, body.get("merchant_id"))
        with acting_at(merchant_id, self.principal, Scope.ACCOUNTS_WRITE) as (merchant, _):
            account = PaymentAccount.objects.open(merchant, body["name"])
        return data(AccountSerializer, account, HTTPStatus.CREATED)


class AccountView(ApiView):
    """One payment account."""

    tag = "Accounts"
    required_permissions: ClassVar = {"GET": Scope.ACCOUNTS_READ, "PATCH": Scope.ACCOUNTS_WRITE}

    def _account(self, account_id: str) -> PaymentAccount:
        rows = PaymentAccount.objects.at_merchants_of(self.principal)
        return self.judged(rows, ids.Prefix.ACCOUNT, account_id)

    @extend_schema(
        operation_id="getAccount",
        summary="Get a payment account",
        responses={200: enveloped(AccountSerializer, "The account.")},
    )
    def get(self, request: Request, account_id: str) -> Response:
        return data(AccountSerializer, self._account(account_id))

    @extend_schema(
        operation_id="updateAccount",
        summary="Rename, block or close a payment account",
        description="What is left out stays as it is. The balance belongs to the core ledger.",
        request=AccountChange,
        responses={
            200: enveloped(AccountSerializer, "The account as it is now."),
            409: Conflict("A closed account cannot be opened again"),
        },
    )
    def patch(self, request: Request, account_id: str) -> Response:
        account = self._account(account_id)
        changes = self.read(AccountChange)
        with acting_at(account.merchant_id, self.principal, Scope.ACCOUNTS_WRITE):
            account.change(changes)
        return data(AccountSerializer, account)


class MemberListView(ApiView):
    """The members of the caller's merchants."""

    tag = "Users"
    required_permissions: ClassVar = {"GET": Scope.USERS_READ, "POST": Scope.USERS_WRITE}

    @extend_schema(
        operation_id="listUsers",
        summary="List members",
        description="The members of every merchant where the permission is held.",
        parameters=[*PAGE, OF_MERCHANT],
        responses={200: paged(MemberSerializer), 404: NotFound},
    )
    def get(self, request: Request) -> Response:
        rows = Membership.objects.listed_for(
            self.principal, Scope.USERS_READ, request.query_params.get("merchant_id")
        )
        return self.page(rows, MemberSerializer)

    @extend_schema(
        operation_id="inviteUser",
        summary="Invite a person",
        description="Nothing is granted until the invitation is accepted. The answer has the"
        " `invitation`, unless an `email` is given: then it is mailed there, and shown to nobody."
        " At most 100 invitations of a merchant are open (409), and 3 a day are mailed to one"
        " mailbox (429). A role can be given only by who holds every permission of it."
        " `merchant_id` may be left out by a caller who has one merchant.",
        request=MemberInvitation,
        responses={
            201: enveloped(InvitedMember, "The member, and the invitation where it is not mailed."),
            404: NotFound,
            409: Conflict("This document is a member of the merchant already"),
        },
    )
    def post(self, request: Request) -> Response:
        body = self.read(MemberInvitation)
        merchant_id = only_merchant(self.principal, body.pop("merchant_id", None))
        with acting_at(merchant_id, self.principal, Scope.USERS_WRITE) as (merchant, principal):
            membership, invitation = Membership.objects.invite(principal, merchant, **body)
        shown = {} if invitation is None else {"invitation": invitation}
        return data(MemberSerializer, membership, HTTPStatus.CREATED, **shown)


class MemberView(ApiView):
    """One member."""

    tag = "Users"
    required_permissions: ClassVar = {
        "GET": Scope.USERS_READ,
        "PATCH": Scope.USERS_WRITE,
        "DELETE": Scope.USERS_WRITE,
    }

    def _member(self, membership_id: str) -> Membership:
        rows = Membership.objects.at_merchants_of(self.principal)
        return self.judged(rows, ids.Prefix.MEMBERSHIP, membership_id)

    @extend_schema(
        operation_id="getUser",
        summary="Get a member",
        responses={200: enveloped(MemberSerializer, "The member.")},
    )
    def get(self, request: Request, membership_id: str) -> Response:
        return data(MemberSerializer, self._member(membership_id))

    @extend_schema(
        operation_id="updateUser",
        summary="Change a member's name, role or status",
        description="What is left out stays as it is. It holds at the member's next request.",
        request=MemberChange,
        responses={
            200: enveloped(MemberSerializer, "The member as they are now."),
            409: Conflict("A merchant keeps its last owner"),
        },
    )
    def patch(self, request: Request, membership_id: str) -> Response:
        membership = self._member(membership_id)
        changes = self.read(MemberChange)
        with acting_at(membership.merchant_id, self.principal, Scope.USERS_WRITE) as (_, principal):
            membership.change(principal, changes)
        return data(MemberSerializer, membership)

    @extend_schema(
        operation_id="removeUser",
        summary="Remove a member",
        description="The membership ends; the person keeps those at other merchants.",
        responses={
            204: OpenApiResponse(description="No longer a member."),
            409: Conflict("A merchant keeps its last owner"),
        },
    )
    def delete(self, request: Request, membership_id: str) -> Response:
        membership = self._member(membership_id)
        with acting_at(membership.merchant_id, self.principal, Scope.USERS_WRITE) as (_, principal):
            membership.end(principal)
        return no_content()
