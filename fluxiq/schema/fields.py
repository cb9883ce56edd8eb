"""What each field of the API means, wherever it stands: read into the OpenAPI document."""

from collections.abc import Iterable
from typing import Any

from fluxiq.ids import Prefix

Schema = dict[str, Any]  # a JSON object: a schema, or a part of the document


def ref(name: str, kind: str = "schemas") -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}


_ULID = "01KGHNZCG0SDM7RCDMT5NQ63DC"  # of the moment that the examples show
_NOON = "2026-02-03T12:00:00Z"
REQUEST_ID = "req_0f3a9c7be1d24860a1b2c3d4"
_INVITATION = "inv_7Fq0ZkP2vRkMbqYx3nWc8dTgLs5hUeJa"
CHALLENGE = "mfa_Yb1u0fQhJ3n7cWk2TzVxLr9sPdEgMaOi"
_RECOVERY_CODES = ["UCNQ-2EJM-VIZO-R6BU", "Y26D-JNC3-Q7L3-MART"]
_PERMISSIONS = ["accounts:read", "pix:write", "transfers:write"]


def field(description: str, *examples: Any, **keywords: Any) -> Schema:
    return {"description": description, **keywords, "examples": list(examples)}


def _id(prefix: Prefix, description: str, *, example: str | None = "") -> Schema:
    shown = f"{prefix}_{_ULID}" if example == "" else example
    return field(description, shown, pattern=f"^{prefix}_[0-9A-Z]{{26}}$")


def _enum(description: str, example: str, name: str) -> Schema:
    return {**field(description, example), **ref(name)}


def _each(field: str, components: Iterable[str], said: Schema) -> dict[str, Schema]:
    return {f"{component}.{field}": said for component in components}


_KEY_BODIES = ("ApiKey", "ApiKeyCreation", "ApiKeyChange")
_ACCOUNT_BODIES = ("Account", "AccountCreation", "AccountChange")
_MEMBER_BODIES = ("Member", "MemberInvitation", "MemberChange")

# By `field`, or by `Component.field` where a component has its own; without its own, a component
# that extends another has the other's.
FIELDS: dict[str, Schema] = {
    "merchant_id": _id(Prefix.MERCHANT, "The merchant."),
    "merchant_name": field("The merchant's name.", "Padaria Aurora"),
    "account_id": _id(Prefix.ACCOUNT, "The account."),
    "key_id": _id(Prefix.API_KEY, "The key."),
    "membership_id": _id(Prefix.MEMBERSHIP, "The membership: a person at one merchant."),
    "session_id": _id(Prefix.SESSION, "The session."),
    "user_id": _id(Prefix.USER, "The person; null while invited."),
    "created_at": field("When it was made.", _NOON),
    "document": field("A CPF or CNPJ, punctuated or bare.", "12345678901"),
    "password": field("Taken exactly as typed, spaces too.", "your-password"),
    "invitation": field("Single use, good for 7 days.", _INVITATION),
    # Tokens
    "access_token": field("For the Authorization header.", "eyJhbGciOiJIUzI1NiIs..."),
    "refresh_token": field("For POST /auth/refresh, once.", "eyJhbGciOiJIUzI1NiIs..."),
    "token_type": field("The scheme.", "Bearer"),
    "expires_in": field("Seconds that the access token is good for.", 900),
    "token": field("An API key, an access token or a refresh token.", "eyJhbGciOiJIUzI1NiIs..."),
    "token_type_hint": field("Taken for the RFC's sake, and ignored.", "access_token"),
    "current_password": field("The password until now.", "your-password"),
    "InvitationAcceptance.password": field(
        "A new one, or the one that you have.", "your-password", minLength=12
    ),
    "new_password": field("Not one of the common ones.", "a better password", minLength=12),
    # Second factors
    "challenge": field("Of the sign-in: single use, good for 5 minutes.", CHALLENGE),
    "MfaRequired.challenge": field(
        "To finish the sign-in with; null for a superuser who has to enrol first.",
        CHALLENGE,
        type=["string", "null"],
    ),
    "MfaRequired.expires_in": field(
        "Seconds that the challenge is good for.", 300, type=["integer", "null"]
    ),
    "enrol_at": field(
        "Where to enrol first; null where there is a challenge.", None, type=["string", "null"]
    ),
    "code": field("Of the authenticator app, or a recovery code; once.", "492039"),
    "MfaEnrolmentRequest.code": field("Where there is a second factor already.", "492039"),
    "MfaStatus.enabled": field("Whether a sign-in asks for it.", True),
    "MfaStatus.enrolled_at": field("Since when; null without one.", _NOON),
    "recovery_codes_left": field("Of ten.", 10),
    "mandatory": field("Whether something is out of reach without it.", False),
    "secret": field("For an app that takes no QR code: base32.", "JBSWY3DPEHPK3PXP"),
    "otpauth_uri": field(
        "What the QR code says.",
        "otpauth://totp/FluxiQ:%2A%2A%2A.456.789-%2A%2A?secret=JBSWY3DPEHPK3PXP&issuer=FluxiQ",
    ),
    "qr_code": field("An SVG, as a data URI for an image.", "data:image/svg+xml;charset=utf-8,…"),
    "MfaEnrolment.expires_in": field("Seconds left to confirm it.", 1800),
    "recovery_codes": field("Each good once, in the app's place.", _RECOVERY_CODES),
    "require_mfa": field("Whether members need a second factor here.", True),
    "members_without_mfa": field("Active members who have none.", 2),
    # The caller
    "Caller.id": field("`usr_…` or `key_…`.", f"usr_{_ULID}"),
    "Caller.kind": _enum("What kind of caller.", "user", "CallerKind"),
    "Caller.name": field("The person's or the key's.", "Olga Souza"),
    "memberships": {"description": "One for each merchant; a key has one."},
    "Grant.role": {
        **field("The person's role there; null for a key.", "manager"),
        "anyOf": [ref("Role"), {"type": "null"}],
    },
    "Grant.permissions": field("As granted, wildcards kept.", ["accounts:*", "pix:*"]),
    # Sessions
    "Session.id": _id(Prefix.SESSION, "The session."),
    "Session.created_at": field("When the person signed in.", _NOON),
    "Session.last_used_at": field("When it was last refreshed.", _NOON),
    "Session.expires_at": field("When it ends unless refreshed.", "2026-02-10T12:00:00Z"),
    "Session.address": field("Where the person signed in from.", "203.0.113.7"),
    "Session.user_agent": field("With what.", "Mozilla/5.0 (X11; Linux x86_64)"),
    "Session.current": field("Whether this very call belongs to it.", True),
    # API keys
    "ApiKey.id": _id(Prefix.API_KEY, "The key."),
    **_each("name", _KEY_BODIES, field("What its people call it.", "Production Key")),
    "ApiKey.hint": field("Tells keys apart without the secret.", "sk_live_…i789"),
    **_each(
        "permissions",
        _KEY_BODIES,
        field("What it may do.", _PERMISSIONS, items=ref("Scope"), minItems=1, uniqueItems=True),
    ),
    "ApiKey.created_by": _id(Prefix.USER, "Who issued it."),
    **_each("expires_at", _KEY_BODIES, field("When it dies by itself; null: never.", None)),
    "ApiKey.last_used_at": field("Right to a minute; null: never used.", None),
    "ApiKey.revoked_at": field("When it was, or will be, revoked.", None),
    **_each(
        "allowed_ips",
        _KEY_BODIES,
        field("CIDRs that it serves from; none: from anywhere.", ["203.0.113.0/24"]),
    ),
    "ApiKey.rate_limit": field("Requests a minute, where staff set its own.", None),
    "ApiKey.rotated_from": _id(Prefix.API_KEY, "The key it succeeded.", example=None),
    "ApiKey.rotated_to": _id(Prefix.API_KEY, "The key that succeeded it.", example=None),
    "RepeatedRotation.key": field(
        "Null: the secret was shown in the first answer.", None, type=["string", "null"]
    ),
    "RepeatedRotation.message": field(
        "What to do now.", "Rotate this successor for a fresh secret."
    ),
    "IssuedApiKey.key": field("The secret. Shown this once.", "sk_live_abc123def456ghi789"),
    "grace_seconds": field("How long the old key goes on.", 86400),
    "from": field("From when; without it, a day before `to`. At most 92 days.", _NOON),
    "to": field("Until when; without it, now.", "2026-02-03T18:00:00Z"),
    "ApiKeyUsage.hour": field("The hour's beginning.", _NOON),
    "ApiKeyUsage.admitted": field("Neither refused nor limited.", 1024),
    "ApiKeyUsage.refused": field("Answered 401 or 403.", 3),
    "ApiKeyUsage.limited": field("Answered 429.", 12),
    # Merchants and accounts
    "Merchant.id": _id(Prefix.MERCHANT, "The merchant."),
    "Merchant.name": field("Its name.", "Padaria Aurora"),
    "Merchant.document": field("Its CNPJ or CPF, masked.", "**.345.678/0001-**"),
    "Merchant.status": _enum(
        "A suspended merchant's keys are refused.", "active", "MerchantStatus"
    ),
    "Account.id": _id(Prefix.ACCOUNT, "The account."),
    **_each("name", _ACCOUNT_BODIES, field("What its people call it.", "Main account")),
    "Account.branch": field("The branch.", "0001"),
    "Account.number": field("Number and check digit.", "12345678-9"),
    **_each(
        "status",
        ("Account", "AccountChange"),
        _enum("A closed account stays closed.", "active", "AccountStatus"),
    ),
    "Account.currency": field("ISO 4217.", "BRL"),
    "Account.balance": field(
        "A decimal string with two places.", "1520.75", pattern=r"^-?\d+\.\d{2}$"
    ),
    # The audit trail
    "AuditEvent.id": _id(Prefix.EVENT, "The event."),
    "AuditEvent.kind": field("What happened, as `object.event`.", "api_key.issued"),
    "AuditEvent.at": field("When; of events that are counted by the minute, its beginning.", _NOON),
    "AuditEvent.actor_kind": field(
        "Who did it: `user`, `api_key`, or FluxiQ's `staff`, `command` or `system`.", "user"
    ),
    "AuditEvent.actor_id": field("`usr_…` or `key_…`; empty of FluxiQ's own.", f"usr_{_ULID}"),
    "AuditEvent.object_id": field("What it happened to.", f"key_{_ULID}"),
    "AuditEvent.address": field("From where; empty of FluxiQ's own.", "203.0.113.7"),
    "AuditEvent.user_agent": field("With what; empty of FluxiQ's own.", "curl/8.5.0"),
    "AuditEvent.request_id": field("The request, as `X-Request-ID` told it.", REQUEST_ID),
    "AuditEvent.before": field("The changed fields as they were.", {}),
    "AuditEvent.after": field("The changed fields as they are since.", {"name": "Production Key"}),
    # Members
    "Member.id": _id(Prefix.MEMBERSHIP, "The membership."),
    **_each("name", _MEMBER_BODIES, field("The person's name at this merchant.", "Otto Lima")),
    "Member.document": field("The person's CPF or CNPJ, masked.", "***.456.789-**"),
    "Member.status": _enum(
        "Only an active membership grants anything.", "active", "MembershipStatus"
    ),
    "InvitedMember.user_id": _id(Prefix.USER, "Null while invited.", example=None),
    "InvitedMember.status": _enum(
        "Nothing is granted until it is accepted.", "invited", "MembershipStatus"
    ),
    "InvitedMember.invitation": field(
        "For POST /auth/invitations/accept. Shown this once; absent where it was mailed.",
        _INVITATION,
    ),
    "MemberChange.status": field("Inactive grants nothing and can be undone.", "inactive"),
    "email": field(
        "Where to mail the invitation, which then stands in no answer.", "otto@example.com"
    ),
    "role": _enum("What the person may do there.", "operator", "Role"),
    # Introspection (RFC 7662)
    "Introspection.active": field("False alone for anything dead or unknown.", True),
    "Introspection.sub": field("`usr_…` or `key_…`.", f"usr_{_ULID}"),
    "Introspection.scope": field(
        "Space-separated: what is held at every one of its merchants.", "accounts:read pix:write"
    ),
    "Introspection.iat": field("Unix time of issue.", 1770120000),
    "Introspection.exp": field("Unix time of expiry; absent where there is none.", 1770120900),
    "Introspection.kind": _enum("What kind of caller.", "user", "CallerKind"),
    "Introspection.merchant_ids": field(
        "Where it may act; `*` alone for platform staff.", [f"mer_{_ULID}"]
    ),
    # Pages and errors
    "next": field("The next page; null on the last.", None),
    "previous": field("The page before; null on the first.", None),
    "details": field(
        "Messages by field; `body` for the whole.",
        {"permisions": ["Unknown field."]},
        type="object",
        additionalProperties={"type": "array", "items": {"type": "string"}},
    ),
    "required_permission": field(
        "What the caller lacks; null where there is none to name.",
        "pix:write",
        type=["string", "null"],
    ),
    "retry_after": field("Seconds, as in `Retry-After`.", 30, type="integer", minimum=1),
    "request_id": field("Names this request in our log.", REQUEST_ID, type=["string", "null"]),
}

# Where one example would not tell the whole; by component. All others are put together. The first
# of a PATCH is what the page to try it sends by itself: let it do no harm.
EXAMPLES: dict[str, dict[str, Any]] = {
    "AccountChange": {"rename": {"name": "Main account"}, "block": {"status": "blocked"}},
    "ApiKeyChange": {
        "rename": {"name": "Production Key"},
        "narrow": {"permissions": ["accounts:read"]},
        "bind": {"allowed_ips": ["203.0.113.0/24"]},
    },
    "MemberChange": {
        "rename": {"name": "Otto Lima"},
        "promote": {"role": "manager"},
        "shut_out": {"status": "inactive"},
    },
    "CallerResponse": {
        "user": {
            "data": {
                "kind": "user",
                "id": f"usr_{_ULID}",
                "name": "Olga Souza",
                "memberships": [
                    {
                        "merchant_id": f"mer_{_ULID}",
                        "merchant_name": "Padaria Aurora",
                        "role": "owner",
                        "permissions": ["*"],
                    }
                ],
            }
        },
        "api_key": {
            "data": {
                "kind": "api_key",
                "id": f"key_{_ULID}",
                "name": "Production Key",
                "memberships": [
                    {
                        "merchant_id": f"mer_{_ULID}",
                        "merchant_name": "Padaria Aurora",
                        "role": None,
                        "permissions": _PERMISSIONS,
                    }
                ],
            }
        },
    },
    "Introspection": {
        "active": {
            "active": True,
            "sub": f"usr_{_ULID}",
            "scope": "accounts:read transactions:read pix:write",
            "token_type": "Bearer",
            "iat": 1770120000,
            "exp": 1770120900,
            "kind": "user",
            "merchant_ids": [f"mer_{_ULID}"],
        },
        "inactive": {"active": False},
    },
}
