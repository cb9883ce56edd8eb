"""The routes of authentication, below `/api/v1`."""

from django.urls import path

from authn.views import api_keys, audit_events, me, mfa, recovery, tokens, usage, verify

urlpatterns = [
    # Asked far more often than all others, and Django tries routes in their order.
    path("auth/verify", verify.VerifyView.as_view()),
    path("auth/login", tokens.LoginView.as_view()),
    path("auth/login/mfa", tokens.LoginMfaView.as_view()),
    path("auth/refresh", tokens.RefreshView.as_view()),
    path("auth/logout", tokens.LogoutView.as_view()),
    path("auth/me", me.MeView.as_view()),
    path("auth/memberships", me.OwnMembershipListView.as_view()),
    path("auth/memberships/<str:membership_id>", me.OwnMembershipView.as_view()),
    path("auth/password", me.PasswordView.as_view()),
    path("auth/password/forgot", recovery.ForgotView.as_view()),
    path("auth/password/reset", recovery.ResetView.as_view()),
    path("auth/sessions", me.SessionListView.as_view()),
    path("auth/sessions/<str:session_id>", me.SessionView.as_view()),
    path("auth/mfa", mfa.MfaView.as_view()),
    path("auth/mfa/enrol", mfa.MfaEnrolView.as_view()),
    path("auth/mfa/confirm", mfa.MfaConfirmView.as_view()),
    path("auth/mfa/recovery-codes", mfa.RecoveryCodesView.as_view()),
    path("auth/introspect", tokens.IntrospectView.as_view()),
    path("auth/revoke", tokens.RevokeView.as_view()),
    path("auth/invitations/accept", tokens.InvitationAcceptView.as_view()),
    path("merchants/<str:merchant_id>/audit-events", audit_events.AuditEventListView.as_view()),
    path("merchants/<str:merchant_id>/security", mfa.MerchantSecurityView.as_view()),
    path("merchants/<str:merchant_id>/api-keys", api_keys.ApiKeyListView.as_view()),
    path("merchants/<str:merchant_id>/api-keys/<str:key_id>", api_keys.ApiKeyView.as_view()),
    path(
        "merchants/<str:merchant_id>/api-keys/<str:key_id>/rotate",
        api_keys.ApiKeyRotateView.as_view(),
    ),
    path(
        "merchants/<str:merchant_id>/api-keys/<str:key_id>/usage", usage.ApiKeyUsageView.as_view()
    ),
]
