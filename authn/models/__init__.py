"""API keys, how much they are used, and sessions."""

from authn.models.api_key import ApiKey
from authn.models.session import Session
from authn.models.usage import ApiKeyUsage, MovedBatch, UsageTotal

__all__ = ["ApiKey", "ApiKeyUsage", "MovedBatch", "Session", "UsageTotal"]
