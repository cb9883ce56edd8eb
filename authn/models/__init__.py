"""API keys, how much they are used, sessions, and second factors."""

from authn.models.api_key import ApiKey
from authn.models.mfa import MfaChallenge, RecoveryCode, TotpFactor
from authn.models.session import SecondFactor, Session
from authn.models.usage import ApiKeyUsage, MovedBatch, UsageTotal

__all__ = [
    "ApiKey",
    "ApiKeyUsage",
    "MfaChallenge",
    "MovedBatch",
    "RecoveryCode",
    "SecondFactor",
    "Session",
    "TotpFactor",
    "UsageTotal",
]
