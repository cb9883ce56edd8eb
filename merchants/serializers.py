"""What the merchants' endpoints read and show."""

from typing import Any

from rest_framework import serializers

from accounts import documents
from accounts.models import normalise_document
from fluxiq.scopes import Role
from fluxiq.serializers import (
    NameField,
    StrictCharField,
    StrictChoiceField,
    StrictSerializer,
    WireDateTimeField,
)
from merchants.models import Membership, Merchant, PaymentAccount

ROLES = [str(r) for r in Role]


class MerchantSerializer(serializers.Serializer[Any]):
    """A merchant as shown."""

    id = serializers.CharField()
    name = serializers.CharField()
    document = serializers.CharField(source="masked_document")
    status = serializers.ChoiceField(choices=Merchant.Status.choices)
    created_at = WireDateTimeField()


class AccountSerializer(serializers.Serializer[Any]):
    """A payment account as shown."""

    id = serializers.CharField()
    merchant_id = serializers.CharField()
    name = serializers.CharField()
    branch = serializers.CharField()
    number = serializers.CharField()
    currency = serializers.CharField()
    balance = serializers.DecimalField(max_digits=18, decimal_places=2)
    status = serializers.ChoiceField(choices=PaymentAccount.Status.choices)
    created_at = WireDateTimeField()


class AccountCreation(StrictSerializer):
    """The body of POST /accounts."""

    merchant_id = StrictCharField(max_length=64, required=False)
    name = NameField()


class AccountChange(StrictSerializer):
    """The body of PATCH /accounts/{id}."""

    name = NameField(required=False)
    status = StrictChoiceField(choices=PaymentAccount.Status.choices, required=False)


class MemberSerializer(serializers.Serializer[Any]):
    """A member as shown."""

    id = serializers.CharField()
    user_id = serializers.CharField(allow_null=True)
    document = serializers.CharField(source="masked_document")
    name = serializers.CharField()
    merchant_id = serializers.CharField()
    role = serializers.ChoiceField(choices=ROLES)
    status = serializers.ChoiceField(choices=Membership.Status.choices)
    created_at = WireDateTimeField()


class OwnMembershipSerializer(MemberSerializer):
    """A membership as the person themselves sees it."""

    merchant_name = serializers.CharField(source="merchant.name")


class DocumentField(StrictCharField):
    """A CPF or CNPJ, punctuated or bare; read as the bare one."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=32, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            return normalise_document(text)
        except documents.InvalidDocument as error:
            raise serializers.ValidationError(str(error)) from error


class MemberInvitation(StrictSerializer):
    """The body of POST /users."""

    merchant_id = StrictCharField(max_length=64, required=False)
    document = DocumentField()
    name = NameField()
    role = StrictChoiceField(choices=ROLES)
    email = serializers.EmailField(required=False)


class MemberChange(StrictSerializer):
    """The body of PATCH /users/{id}."""

    name = NameField(required=False)
    role = StrictChoiceField(choices=ROLES, required=False)
    status = StrictChoiceField(
        choices=[Membership.Status.ACTIVE, Membership.Status.INACTIVE], required=False
    )
