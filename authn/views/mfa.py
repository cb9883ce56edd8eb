"""The caller's second factor, and whether a merchant requires one."""

from typing import ClassVar

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from authn.authentication import user_of
from authn.mfa import factors, policy, totp
from authn.mfa.serializers import (
    MerchantSecurityChange,
    MerchantSecuritySerializer,
    MfaCode,
    MfaEnrolmentRequest,
    MfaEnrolmentSerializer,
    MfaRemoval,
    MfaStatusSerializer,
    RecoveryCodesSerializer,
)
from authn.models import RecoveryCode
from authn.models.mfa import ENROLMENT_LIFETIME
from fluxiq.errors import Conflict, Forbidden, ValidationFailed
from fluxiq.http import TOKEN_ONLY
from fluxiq.principals import Principal
from fluxiq.schema import enveloped
from fluxiq.scopes import ALL
from fluxiq.views import ApiView, data, no_content
from merchants.acting import acting_at
from merchants.models import Merchant

TAG = "Second factor"


class MfaView(ApiView):
    """Whether one has a second factor, and removing it."""

    tag = TAG
    kinds = TOKEN_ONLY
    delete_has_body = True
    required_permissions: ClassVar = {"GET": None, "DELETE": None}

    @extend_schema(
        operation_id="getMfa",
        summary="Do I have a second factor",
        responses={200: enveloped(MfaStatusSerializer, "The caller's second factor.")},
    )
    def get(self, request: Request) -> Response:
        user = user_of(request)
        status = {
            "enabled": user.has_second_factor,
            "enrolled_at": user.mfa_enrolled_at,
            "recovery_codes_left": RecoveryCode.objects.filter(user=user.pk).count(),
            "mandatory": policy.is_required_of(user),
        }
        return data(MfaStatusSerializer, status)

    @extend_schema(
        operation_id="removeMfa",
        summary="Remove your second factor",
        description="Your password alone signs you in from then on. All your other sessions are"
        " over. To move to another device, enrol anew instead.",
        request=MfaRemoval,
        responses={
            204: OpenApiResponse(description="The second factor is removed."),
            409: Conflict("A second factor is required of you"),
        },
    )
    def delete(self, request: Request) -> Response:
        body = self.read(MfaRemoval)
        factors.remove(user_of(request), **body, session_id=self.principal.session_id)
        return no_content()


class MfaEnrolView(ApiView):
    """A secret for an authenticator app."""

    tag = TAG
    kinds = TOKEN_ONLY
    required_permissions: ClassVar = {"POST": None}

    @extend_schema(
        operation_id="enrolMfa",
        summary="Enrol an authenticator app",
        description="Show the QR code to the app, then confirm with its first code within 30"
        " minutes; until then nothing changes. Enrolling again gives another secret. Who has a"
        " second factor already gives a `code` of it too, and keeps it until the new one is"
        " confirmed. A wrong `current_password` or `code` is 400, and counts as a failed attempt.",
        request=MfaEnrolmentRequest,
        responses={200: enveloped(MfaEnrolmentSerializer, "For the app. Shown this once.")},
    )
    def post(self, request: Request) -> Response:
        body = self.read(MfaEnrolmentRequest)
        enrolment = factors.enrol(
            user_of(request),
            current_password=body["current_password"],
            code=body.get("code"),
            session_id=self.principal.session_id,
        )
        shown = {
            "secret": enrolment.secret,
            "otpauth_uri": enrolment.uri,
            "qr_code": totp.qr_data_uri(enrolment.uri),
            "expires_in": int(ENROLMENT_LIFETIME.total_seconds()),
        }
        return data(MfaEnrolmentSerializer, shown)


class MfaConfirmView(ApiView):
    """The first code of an authenticator app."""

    tag = TAG
    kinds = TOKEN_ONLY
    required_permissions: ClassVar = {"POST": None}

    @extend_schema(
        operation_id="confirmMfa",
        summary="Confirm the authenticator app",
        description="From then on a sign-in asks for it. Answers with ten recovery codes, shown"
        " this once, in place of any before. All your other sessions are over; this one goes on.",
        request=MfaCode,
        responses={
            200: enveloped(RecoveryCodesSerializer, "Keep them where the app is not."),
            409: Conflict("No enrolment is under way, or its 30 minutes are over"),
        },
    )
    def post(self, request: Request) -> Response:
        code = self.read(MfaCode)["code"]
        try:
            codes = factors.confirm(self.principal.id, code, session_id=self.principal.session_id)
        except factors.WrongCode as error:
            raise ValidationFailed({"code": [f"{factors.INVALID_CODE}."]}) from error
        return data(RecoveryCodesSerializer, {"recovery_codes": codes})


class RecoveryCodesView(ApiView):
    """New recovery codes."""

    tag = TAG
    kinds = TOKEN_ONLY
    required_permissions: ClassVar = {"POST": None}

    @extend_schema(
        operation_id="renewRecoveryCodes",
        summary="Renew your recovery codes",
        description="The old ones do not serve any more.",
        request=MfaCode,
        responses={
            200: enveloped(RecoveryCodesSerializer, "The new codes, shown this once."),
            409: Conflict("There is no second factor. Enrol one first"),
        },
    )
    def post(self, request: Request) -> Response:
        code = self.read(MfaCode)["code"]
        codes = factors.renew_recovery_codes(user_of(request), code, self.principal.session_id)
        return data(RecoveryCodesSerializer, {"recovery_codes": codes})


class MerchantSecurityView(ApiView):
    """Whether a merchant requires a second factor of its members: its owners' to say."""

    tag = "Merchants"
    kinds = TOKEN_ONLY
    required_permissions: ClassVar = {"GET": None, "PATCH": None}

    def _merchant(self, merchant_id: str) -> Merchant:
        """Raises NotFound for a foreign one, Forbidden for who does not hold `*` there."""
        merchant = Merchant.objects.known_to(self.principal, merchant_id)
        self._judge(self.principal, merchant_id)
        return merchant

    def _judge(self, principal: Principal, merchant_id: str) -> None:
        if ALL not in principal.permissions_at(merchant_id):
            raise Forbidden(ALL)

    def _shown(self, merchant: Merchant) -> Response:
        members = merchant.memberships.in_force().without_second_factor()
        shown = {"require_mfa": merchant.require_mfa, "members_without_mfa": members.count()}
        return data(MerchantSecuritySerializer, shown)

    @extend_schema(
        operation_id="getMerchantSecurity",
        summary="See what a merchant requires of its members",
        description="For owners (`*`).",
        responses={
            200: enveloped(MerchantSecuritySerializer, "What is required, and who lacks it.")
        },
    )
    def get(self, request: Request, merchant_id: str) -> Response:
        return self._shown(self._merchant(merchant_id))

    @extend_schema(
        operation_id="updateMerchantSecurity",
        summary="Require a second factor of a merchant's members",
        description="For owners (`*`) who have one themselves. Sessions of members without one end"
        " at once; they sign in again, and hold nothing at this merchant until they enrol. API"
        " keys go on.",
        request=MerchantSecurityChange,
        responses={
            200: enveloped(MerchantSecuritySerializer, "What is required now, and who lacks it."),
            409: Conflict(policy.ENROL_FIRST),
        },
    )
    def patch(self, request: Request, merchant_id: str) -> Response:
        merchant = self._merchant(merchant_id)
        required = self.read(MerchantSecurityChange)["require_mfa"]
        with acting_at(merchant.id, self.principal) as (merchant, principal):
            self._judge(principal, merchant.id)
            policy.require_at(merchant, required, User.objects.get(pk=principal.id))
        return self._shown(merchant)
