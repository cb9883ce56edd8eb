"""API keys and sessions."""

from authn.models.api_key import ApiKey
from authn.models.session import Session

__all__ = ["ApiKey", "Session"]
