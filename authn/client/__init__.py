"""FluxiQ authentication for Python: services ask whether a call may pass, others call the API.

    verifier = Verifier("https://auth.example.com")
    grant = verifier.verify(request.headers.get("Authorization"), "pix:write")  # or raises Refused

    client = Client("https://auth.example.com", api_key=key)
    accounts = list(client.pages("/accounts"))  # or raises ApiError

The package needs nothing else of this project: copy it, or vendor it, into a service. It needs
httpx; `authn.client.drf` needs Django REST framework, `authn.client.django` Django,
and `authn.client.jwks` PyJWT with cryptography. How to use it: docs/services.md and
docs/integrate.md.
"""

from authn.client.answers import Grant, Refused
from authn.client.api import Client
from authn.client.replies import ApiError, CallFailed, NoAnswer, Pair, SessionOver
from authn.client.verifier import AsyncVerifier, Verifier

__all__ = [
    "ApiError",
    "AsyncVerifier",
    "CallFailed",
    "Client",
    "Grant",
    "NoAnswer",
    "Pair",
    "Refused",
    "SessionOver",
    "Verifier",
]
