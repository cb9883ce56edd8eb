"""Access tokens, good and forged, the keys that sign them, and how one is refused."""

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from rest_framework_simplejwt.exceptions import TokenBackendError

from authn import signing

USER_ID = "usr_01HQGX3VJ8Z5Y6W7T8R9QPNM0K"
SESSION_ID = "ses_01HQGX3VJ8Z5Y6W7T8R9QPNM0K"
JTI = "0123456789abcdef" * 2
SECRET = "signing-key-of-the-tests-alone-0123456789"
BACKEND = signing.RingTokenBackend(typ="at+jwt", audience="fluxiq")


def part(token: str, index: int) -> dict[str, Any]:
    """The header (0) or the claims (1) of a token."""
    segment = token.split(".")[index]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=="))
    return decoded


def claims(**changes: Any) -> dict[str, Any]:
    """Claims of a good access token."""
    now = int(time.time())
    good = {"token_type": "access", "sub": USER_ID, "sid": SESSION_ID, "jti": JTI, "iat": now}
    return {**good, "exp": now + 900, "iss": "fluxiq", "aud": "fluxiq", **changes}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forge(header: dict[str, Any] | None = None, payload: Any = None, secret: str = SECRET) -> str:
    """A token signed with HS256 whatever its header says."""
    head = b64(json.dumps(header or {"alg": "HS256", "kid": "test-1", "typ": "at+jwt"}).encode())
    body = payload if isinstance(payload, bytes) else json.dumps(payload or claims()).encode()
    signed = f"{head}.{b64(body)}"
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        signed.encode(), secret.encode()
    )
    return f"{signed}.{b64(signature)}"


def pem(private: Any) -> str:
    """The base64 of a private key's PKCS#8 PEM."""
    text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return base64.b64encode(text).decode()


PRIVATE: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "RS256": rsa.generate_private_key(65537, 2048),
}


def assert_refused(token: Any, why: str, *, verify: bool = True) -> None:
    """The token is refused, and for this reason: not for another fault that it has by accident."""
    with pytest.raises(TokenBackendError, match=f"^{why}$"):
        BACKEND.decode(token, verify=verify)
