"""What the endpoints of the second factor read and show."""

from typing import Any

from rest_framework import serializers

from authn.serializers import PasswordField
from fluxiq.serializers import (
    StrictBooleanField,
    StrictCharField,
    StrictSerializer,
    WireDateTimeField,
)

MAX_CODE = 64


class CodeField(StrictCharField):
    """A code of an authenticator app, or a recovery code, with or without spaces and dashes."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_CODE, **kwargs)


class LoginCompletion(StrictSerializer):
    """The body of POST /auth/login/mfa."""

    challenge = StrictCharField(max_length=200)
    code = CodeField()


class MfaEnrolmentRequest(StrictSerializer):
    """The body of POST /auth/mfa/enrol. `code` is of the factor that there is already."""

    current_password = PasswordField()
    code = CodeField(required=False)


class MfaCode(StrictSerializer):
    """The body of POST /auth/mfa/confirm and /auth/mfa/recovery-codes."""

    code = CodeField()


class MfaRemoval(StrictSerializer):
    """The body of DELETE /auth/mfa."""

    current_password = PasswordField()
    code = CodeField()


class MfaStatusSerializer(serializers.Serializer[Any]):
    """Whether the caller has a second factor, and needs one."""

    enabled = serializers.BooleanField()
    enrolled_at = WireDateTimeField(allow_null=True)
    recovery_codes_left = serializers.IntegerField()
    mandatory = serializers.BooleanField()


class MfaEnrolmentSerializer(serializers.Serializer[Any]):
    """What an authenticator app is given, until its first code confirms it."""

    secret = serializers.CharField()
    otpauth_uri = serializers.CharField()
    qr_code = serializers.CharField()
    expires_in = serializers.IntegerField()


class RecoveryCodesSerializer(serializers.Serializer[Any]):
    """Recovery codes, shown this once."""

    recovery_codes = serializers.ListField(child=serializers.CharField())


class MerchantSecurityChange(StrictSerializer):
    """The body of PATCH /merchants/{id}/security."""

    require_mfa = StrictBooleanField()


class MerchantSecuritySerializer(serializers.Serializer[Any]):
    """What a merchant requires of its members."""

    require_mfa = serializers.BooleanField()
    members_without_mfa = serializers.IntegerField()
