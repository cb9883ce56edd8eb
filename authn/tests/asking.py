"""A question of a verifier, on a thread or on an event loop, and how it may be refused."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from authn.client import AsyncVerifier, Grant, Refused, Verifier

KEY = "Bearer sk_live_0123456789ABCDEFGHIJKLMNOPQRSTUV28hqg7"
TIMEOUT = 0.5


def ask_sync(url: str, *arguments: Any, **options: Any) -> Grant:
    """One question of a verifier of its own."""
    verifier = Verifier(url, timeout=TIMEOUT)
    try:
        return verifier.verify(*arguments, **options)
    finally:
        verifier.close()


def ask_async(url: str, *arguments: Any, **options: Any) -> Grant:
    """The same, on an event loop."""

    async def ask() -> Grant:
        verifier = AsyncVerifier(url, timeout=TIMEOUT)
        try:
            return await verifier.verify(*arguments, **options)
        finally:
            await verifier.aclose()

    return asyncio.run(ask())


Ask = Callable[..., Grant]


def refused(ask: Ask, url: str, *arguments: Any, **options: Any) -> Refused:
    """The refusal of a question."""
    with pytest.raises(Refused) as raised:
        ask(url, *arguments, **options)
    return raised.value


def assert_unavailable(refusal: Refused) -> None:
    """503 in the envelope, with an id to find it by and a time to come back."""
    assert refusal.status == 503
    error = refusal.envelope["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["code"] == "SERVICE_UNAVAILABLE"
    assert refusal.headers["X-Request-ID"] == error["request_id"]
    assert refusal.headers["Retry-After"] == "1"
    assert refusal.headers["Cache-Control"] == "no-store"
    assert refusal.headers["Content-Type"] == "application/json"
