"""What the authentication endpoints read and show."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from accounts.passwords import MAX_LENGTH as MAX_PASSWORD
from authn.models import ApiKey
from authn.models.api_key import MAX_GRACE
from fluxiq.addresses import parse_networks
from fluxiq.audit.models import kinds
from fluxiq.serializers import (
    NameField,
    StrictCharField,
    StrictChoiceField,
    StrictSerializer,
    WireDateTimeField,
)

MAX_DOCUMENT = 64
MAX_TOKEN = 4096
MAX_NETWORKS = 50
USAGE_PERIOD = timedelta(days=1)
MAX_USAGE_PERIOD = timedelta(days=92)  # the longest three months


class PasswordField(StrictCharField):
    """A password, exactly as typed: simplejwt's own field trims spaces."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_PASSWORD, trim_whitespace=False, **kwargs)


class NewPassword(StrictSerializer):
    """What a password has to be before the rules for new ones are asked."""

    password = PasswordField()


class LoginRequest(StrictSerializer):
    """The body of POST /auth/login."""

    document = StrictCharField(max_length=MAX_DOCUMENT)
    password = PasswordField()


class RefreshRequest(StrictSerializer):
    """The body of POST /auth/refresh."""

    refresh_token = StrictCharField(max_length=MAX_TOKEN)


class TokenRequest(StrictSerializer):
    """The body of POST /auth/introspect and /auth/revoke (RFC 7662 and 7009)."""

    token = StrictCharField(max_length=MAX_TOKEN)
    token_type_hint = StrictCharField(max_length=100, required=False, allow_blank=True)


class PasswordChange(StrictSerializer):
    """The body of POST /auth/password."""

    current_password = PasswordField()
    new_password = PasswordField()


class ForgottenPassword(StrictSerializer):
    """The body of POST /auth/password/forgot."""

    document = StrictCharField(max_length=MAX_DOCUMENT)


class PasswordReset(StrictSerializer):
    """The body of POST /auth/password/reset."""

    token = StrictCharField(max_length=200)
    new_password = PasswordField()


class InvitationAcceptance(StrictSerializer):
    """The body of POST /auth/invitations/accept."""

    invitation = StrictCharField(max_length=200)
    document = StrictCharField(max_length=MAX_DOCUMENT)
    password = PasswordField()


class TokenPairSerializer(serializers.Serializer[Any]):
    """What a sign-in and a refresh answer."""

    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField()


class GrantSerializer(serializers.Serializer[Any]):
    """One merchant of a caller."""

    merchant_id = serializers.CharField()
    merchant_name = serializers.CharField()
    role = serializers.CharField(allow_null=True)
    permissions = serializers.ListField(child=serializers.CharField())


class CallerSerializer(serializers.Serializer[Any]):
    """Who is calling, at /auth/me."""

    kind = serializers.CharField()
    id = serializers.CharField()
    name = serializers.CharField()
    memberships = GrantSerializer(many=True, source="grants")


class SessionSerializer(serializers.Serializer[Any]):
    """A session as its user sees it."""

    id = serializers.CharField()
    created_at = WireDateTimeField()
    last_used_at = WireDateTimeField()
    expires_at = WireDateTimeField()
    address = serializers.CharField()
    user_agent = serializers.CharField()
    current = serializers.BooleanField(source="current_session")


class ApiKeySerializer(serializers.Serializer[Any]):
    """An API key as shown ever after its creation."""

    id = serializers.CharField()
    merchant_id = serializers.CharField(allow_null=True)
    name = serializers.CharField()
    hint = serializers.CharField()
    permissions = serializers.ListField(child=serializers.CharField())
    created_at = WireDateTimeField()
    created_by = serializers.CharField(source="created_by_id", allow_null=True)
    expires_at = WireDateTimeField(allow_null=True)
    last_used_at = WireDateTimeField(allow_null=True)
    revoked_at = WireDateTimeField(allow_null=True)
    allowed_ips = serializers.ListField(child=serializers.CharField())
    rate_limit = serializers.IntegerField(allow_null=True)
    rotated_from = serializers.CharField(source="rotated_from_id", allow_null=True)
    rotated_to = serializers.CharField(source="rotated_to_id", allow_null=True)


class PermissionsField(serializers.ListField):
    """Listed scopes: at least one, none twice, no wildcard, none that keys cannot hold."""

    child = StrictCharField(max_length=100)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_empty=False, max_length=len(ApiKey.GRANTABLE), **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:
        permissions: list[str] = super().to_internal_value(data)
        for permission in permissions:
            if permission not in ApiKey.GRANTABLE:
                raise serializers.ValidationError(f"{permission!r} cannot be granted to a key.")
        if len(set(permissions)) != len(permissions):
            raise serializers.ValidationError("A permission stands twice.")
        return permissions


class AddressListField(serializers.ListField):
    """CIDRs, or single addresses, of either family; kept as canonical CIDRs."""

    child = StrictCharField(max_length=64)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_NETWORKS, **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:
        texts: list[str] = super().to_internal_value(data)
        try:
            return [str(network) for network in parse_networks(texts)]
        except ValueError as error:
            raise serializers.ValidationError(f"Not a CIDR: {error}.") from error


class ExpiryField(serializers.DateTimeField):
    """A moment in the future, with its time zone or in UTC."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, **kwargs)

    def to_internal_value(self, data: Any) -> datetime:
        if not isinstance(data, str):
            self.fail("invalid", format="2026-02-03T12:00:00Z")
        moment = super().to_internal_value(data)
        if moment <= timezone.now():
            raise serializers.ValidationError("Must be in the future.")
        return moment


class ApiKeyCreation(StrictSerializer):
    """The body of POST /merchants/{id}/api-keys."""

    name = NameField()
    permissions = PermissionsField()
    expires_at = ExpiryField(required=False)
    allowed_ips = AddressListField(required=False)


class ApiKeyChange(StrictSerializer):
    """The body of PATCH /merchants/{id}/api-keys/{key_id}."""

    name = NameField(required=False)
    permissions = PermissionsField(required=False)
    expires_at = ExpiryField(required=False)
    allowed_ips = AddressListField(required=False)


class GraceField(serializers.IntegerField):
    """Whole seconds, as a JSON number."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return int(super().to_internal_value(data))


class ApiKeyRotation(StrictSerializer):
    """The body of POST …/rotate."""

    grace_seconds = GraceField(
        min_value=0, max_value=int(MAX_GRACE.total_seconds()), default=24 * 60 * 60
    )


class UsagePeriod(serializers.Serializer[Any]):
    """The query of GET …/usage: the last day, unless it says otherwise."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {
            "from": serializers.DateTimeField(required=False),
            "to": serializers.DateTimeField(required=False),
        }

    def validate(self, attrs: dict[str, datetime]) -> dict[str, datetime]:
        """The period's `start` and `end`."""
        end = attrs.get("to", timezone.now())
        try:
            start = attrs.get("from", end - USAGE_PERIOD)
        except OverflowError as error:
            raise serializers.ValidationError({"to": "Too early."}) from error
        if end <= start:
            field = "to" if "to" in attrs else "from"
            raise serializers.ValidationError({field: "`to` must be later than `from`."})
        if end - start > MAX_USAGE_PERIOD:
            days = MAX_USAGE_PERIOD.days
            raise serializers.ValidationError({"from": f"At most {days} days before `to`."})
        return {"start": start, "end": end}


class AuditEventQuery(serializers.Serializer[Any]):
    """The query of GET …/audit-events."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {
            "kind": StrictChoiceField(choices=kinds(), required=False),
            "from": serializers.DateTimeField(required=False),
            "to": serializers.DateTimeField(required=False),
        }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a period that is none."""
        if "from" in attrs and "to" in attrs and attrs["to"] <= attrs["from"]:
            raise serializers.ValidationError({"to": "`to` must be later than `from`."})
        return attrs


class ApiKeyUsageSerializer(serializers.Serializer[Any]):
    """The requests of a key in one hour."""

    hour = WireDateTimeField()
    admitted = serializers.IntegerField()
    refused = serializers.IntegerField()
    limited = serializers.IntegerField()
