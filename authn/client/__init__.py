"""Asking FluxiQ authentication whether a call may pass: for services in Python.

    verifier = Verifier("https://auth.example.com")
    grant = verifier.verify(request.headers.get("Authorization"), "pix:write")  # or raises Refused

The package needs nothing else of this project: copy it, or vendor it, into a service. It needs
httpx; `authn.client.drf` needs Django REST framework, `authn.client.django` Django,
and `authn.client.jwks` PyJWT with cryptography. How to use it: docs/services.md.
"""

from authn.client.answers import Grant, Refused
from authn.client.verifier import AsyncVerifier, Verifier

__all__ = ["AsyncVerifier", "Grant", "Refused", "Verifier"]
