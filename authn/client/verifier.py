"""`GET /api/v1/auth/verify`, asked with the caller's own Authorization header."""

import asyncio
import os
import ssl
import threading
import time
import weakref
from collections.abc import Iterable
from typing import Any

import httpx

from authn.client import answers
from authn.client.answers import Grant
from authn.client.question import Answer, Question, question, service_url

PATH = "/api/v1/auth/verify"

TIMEOUT_SECONDS = 2.0  # for the whole question; verification takes milliseconds
CONNECT_SECONDS = 1.0
# Connections are given up before the server gives them up (30 s), so that none is written to
# that was just closed.
KEEP_ALIVE_SECONDS = 15.0
MAX_ANSWER = 64 * 1024  # bytes

# A connection that broke before it was answered: another may not be broken.
_BROKEN = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


class _TooLong(Exception):
    """The answer is longer than any that is documented."""


class _Settings:
    """What both verifiers are made of."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = TIMEOUT_SECONDS,
        max_connections: int = 100,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.url = service_url(url) + PATH
        if timeout <= 0:
            raise ValueError("the timeout is a positive number of seconds")
        self.timeout = timeout
        self._options: dict[str, Any] = {
            "verify": True if tls is None else tls,
            "limits": httpx.Limits(
                max_connections=max_connections,
                max_keepalive_connections=max_connections,
                keepalive_expiry=KEEP_ALIVE_SECONDS,
            ),
            "headers": {"Accept": "application/json", "Accept-Encoding": "identity"},
            # A redirect would take the credential elsewhere, and a proxy or .netrc of the
            # environment is not ours to trust with it.
            "follow_redirects": False,
            "trust_env": False,
        }

    def _timeouts(self, deadline: float) -> httpx.Timeout:
        left = max(deadline - time.monotonic(), 0.001)
        return httpx.Timeout(left, connect=min(left, CONNECT_SECONDS))


class Verifier(_Settings):
    """Asks whether calls may pass. One serves all threads of a process, and those it forks.

    `url` is where the authentication service is, such as `https://auth.example.com`; `timeout`
    (seconds) is how long a question waits for its answer, beside a second to connect; `tls` trusts
    other certificates than the usual ones. Raises ValueError for a `url` that is none.
    Connections are kept and used again. Answers are not: each call is asked about.
    """

    _client: httpx.Client | None

    def __init__(
        self,
        url: str,
        *,
        timeout: float = TIMEOUT_SECONDS,
        max_connections: int = 100,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(url, timeout=timeout, max_connections=max_connections, tls=tls)
        self._lose_connections()
        _verifiers.add(self)

    def verify(
        self,
        authorization: str | None,
        permissions: str | Iterable[str],
        *,
        merchant_id: str | None = None,
        peer: str = "",
        forwarded_for: str = "",
        request_id: str = "",
    ) -> Grant:
        """The grant of a call that may pass. Raises Refused, with what to answer, for any other.

        `authorization` is the call's own header, or None without one. All `permissions` must be
        held, at `merchant_id` where one is named and else at one merchant or more; without any,
        the caller is only authenticated. `peer` is the address that the call came from and
        `forwarded_for` its X-Forwarded-For; the authentication service believes them where its
        TRUSTED_PROXIES has this service. `request_id` is the call's X-Request-ID.
        """
        asked = question(
            authorization,
            permissions,
            merchant_id=merchant_id,
            peer=peer,
            forwarded_for=forwarded_for,
            request_id=request_id,
        )
        try:
            answer = self._ask(asked, time.monotonic() + self.timeout)
        except (httpx.HTTPError, _TooLong) as error:
            raise answers.unavailable(
                f"{type(error).__name__} {error}", asked.request_id
            ) from error
        return asked.read(answer)

    def close(self) -> None:
        """Close the connections. The next question opens new ones."""
        with self._lock:
            held, self._client = self._client, None
        if held is not None:
            held.close()

    def _ask(self, asked: Question, deadline: float) -> Answer:
        try:
            return self._exchange(asked, deadline)
        except _BROKEN:
            if time.monotonic() >= deadline:
                raise
            return self._exchange(asked, deadline)

    def _exchange(self, asked: Question, deadline: float) -> Answer:
        with self._connected().stream(
            "GET",
            self.url,
            params=asked.parameters,
            headers=asked.headers,
            timeout=self._timeouts(deadline),
        ) as response:
            body = b""
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise _TooLong(f"over {MAX_ANSWER} bytes")
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the body did not end in time")
            return response.status_code, response.headers, body

    def _connected(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(**self._options)
            return self._client

    def _lose_connections(self) -> None:
        self._lock = threading.Lock()
        self._client = None


# A forked process must neither use nor close its parent's connections, nor wait for a lock that a
# thread of its parent held.
_verifiers: weakref.WeakSet[Verifier] = weakref.WeakSet()


def _after_fork() -> None:
    for verifier in _verifiers:
        verifier._lose_connections()


os.register_at_fork(after_in_child=_after_fork)


class AsyncVerifier(_Settings):
    """As Verifier, for one event loop of asyncio."""

    _client: httpx.AsyncClient | None = None

    async def verify(
        self,
        authorization: str | None,
        permissions: str | Iterable[str],
        *,
        merchant_id: str | None = None,
        peer: str = "",
        forwarded_for: str = "",
        request_id: str = "",
    ) -> Grant:
        """As Verifier.verify."""
        asked = question(
            authorization,
            permissions,
            merchant_id=merchant_id,
            peer=peer,
            forwarded_for=forwarded_for,
            request_id=request_id,
        )
        try:
            async with asyncio.timeout(self.timeout):
                answer = await self._ask(asked, time.monotonic() + self.timeout)
        except (httpx.HTTPError, _TooLong, TimeoutError) as error:
            raise answers.unavailable(
                f"{type(error).__name__} {error}", asked.request_id
            ) from error
        return asked.read(answer)

    async def aclose(self) -> None:
        """Close the connections. The next question opens new ones."""
        held, self._client = self._client, None
        if held is not None:
            await held.aclose()

    async def _ask(self, asked: Question, deadline: float) -> Answer:
        try:
            return await self._exchange(asked, deadline)
        except _BROKEN:
            return await self._exchange(asked, deadline)

    async def _exchange(self, asked: Question, deadline: float) -> Answer:
        if self._client is None:
            self._client = httpx.AsyncClient(**self._options)
        async with self._client.stream(
            "GET",
            self.url,
            params=asked.parameters,
            headers=asked.headers,
            timeout=self._timeouts(deadline),
        ) as response:
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise _TooLong(f"over {MAX_ANSWER} bytes")
            return response.status_code, response.headers, body
