"""Calling the API, with a key or for a signed-in person: refreshed, patient, and typed.

    with Client("https://auth.example.com", api_key=key) as client:
        for account in client.pages("/accounts"):
            ...

A path is one below `/api/v1`. What comes back is `data` of the answer; what is refused is raised.
"""

import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Self

import httpx

from authn.client import replies
from authn.client.question import service_url
from authn.client.replies import ApiError, NoAnswer, Pair, SessionOver
from authn.client.verifier import KEEP_ALIVE_SECONDS

PREFIX = "/api/v1"
TIMEOUT_SECONDS = 10.0  # for one try
PATIENCE_SECONDS = 75.0  # for one call with its waits: the window of a limit is a minute
EARLY_SECONDS = 10.0  # so long before its end a token is refreshed: an answer of 401 is counted
# A lost answer to a refresh is asked for again for so long and no longer. The service gives the
# same successor for 10 seconds, and then takes the repetition for theft.
REFRESH_SECONDS = 8.0
REFRESH_TIMEOUT_SECONDS = 3.0
FIRST_PAUSE_SECONDS = 0.25  # doubled with each try, up to
LONGEST_PAUSE_SECONDS = 8.0

# Asked again, these do nothing that was not done before.
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_AWAY = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)
# The request never left: whatever it was, it may be sent again.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def _keep_nowhere(pair: Pair | None) -> None:
    """The pair is in memory alone."""


class Client:
    """Calls the API. One serves all threads of a process; make it after a fork.

    `url` is where the service is. With `api_key` every call is the key's. Without it, `sign_in`
    makes a session, or `pair` resumes one; a token that ends, or is answered 401, is refreshed
    once, by one thread while the others wait. `keep` is called with each new pair before the pair
    is used, and with None when the session is over: write it where it outlives the process. What
    `keep` raises ends the call. `patience` is how many seconds a call may take with its waits for
    429 and 503; a longer wait is raised instead. `tls` trusts other certificates than the usual
    ones, `transport` is httpx's, for a proxy. Raises ValueError for a `url` that is none, and for
    a key together with a pair.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        pair: Pair | None = None,
        keep: Callable[[Pair | None], None] = _keep_nowhere,
        timeout: float = TIMEOUT_SECONDS,
        patience: float = PATIENCE_SECONDS,
        tls: ssl.SSLContext | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if api_key is not None and pair is not None:
            raise ValueError("either a key or a session, not both")
        self._base = service_url(url) + PREFIX
        self._api_key, self._pair, self._keep = api_key, pair, keep
        self._timeout, self._patience = timeout, patience
        self._refreshing = threading.Lock()
        self._http = httpx.Client(
            verify=True if tls is None else tls,
            transport=transport,
            limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE_SECONDS),
            headers={"Accept": "application/json"},
            # A redirect would take the credential elsewhere, and a proxy or .netrc of the
            # environment is not ours to trust with it.
            follow_redirects=False,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The session goes on: `sign_out` ends it."""
        self._http.close()

    @property
    def pair(self) -> Pair | None:
        """The session's present tokens, or None without a session."""
        return self._pair

    # --- The session ----------------------------------------------------------------------------

    def sign_in(self, document: str, password: str) -> None:
        """Start a session. Raises ApiError: with the code MFA_REQUIRED, `error["challenge"]` is
        for `finish_sign_in`."""
        self._start("/auth/login", {"document": document, "password": password})

    def finish_sign_in(self, challenge: str, code: str) -> None:
        """Start a session by the second factor. Raises ApiError."""
        self._start("/auth/login/mfa", {"challenge": challenge, "code": code})

    def sign_out(self) -> None:
        """End the session, its refresh token too. Without one nothing happens."""
        pair = self._pair
        if pair is not None:
            replies.body_of(self._send("POST", "/auth/logout", token=pair.access_token))
            self._replace(None)

    def _start(self, path: str, body: Mapping[str, str]) -> None:
        if self._api_key is not None:
            raise ValueError("a client with a key has no session")
        self._replace(replies.pair_of(replies.body_of(self._send("POST", path, body=body))))

    def _replace(self, pair: Pair | None) -> None:
        self._pair = pair
        self._keep(pair)

    def _refresh(self, old: Pair) -> Pair:
        """The session's pair after `old`. Raises SessionOver."""
        with self._refreshing:
            pair = self._pair
            if pair is None or pair is not old:  # another thread was here first
                return self._in_session(pair)
            body = {"refresh_token": old.refresh_token}
            response = self._send("POST", "/auth/refresh", body=body, is_refresh=True)
            try:
                new = replies.pair_of(replies.body_of(response))
            except ApiError as error:
                if error.status != HTTPStatus.UNAUTHORIZED:
                    raise
                self._replace(None)
                raise SessionOver(error.status, error.error) from error
            self._replace(new)
            return new

    def _in_session(self, pair: Pair | None) -> Pair:
        if pair is None:
            error = {"code": "UNAUTHORIZED", "message": "There is no session: sign in"}
            raise SessionOver(HTTPStatus.UNAUTHORIZED, error)
        return pair

    # --- Calls ----------------------------------------------------------------------------------

    def get(self, path: str, **parameters: Any) -> Any:
        """What is there. Raises CallFailed, as all of these do."""
        return self.call("GET", path, parameters=parameters)

    def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str = ""
    ) -> Any:
        """Make or do something. With an idempotency key, where the operation takes one, a lost
        answer is asked for again."""
        return self.call("POST", path, body, idempotency_key=idempotency_key)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change something; it as it is now."""
        return self.call("PATCH", path, body)

    def delete(self, path: str) -> None:
        """End or remove something."""
        self.call("DELETE", path)

    def pages(self, path: str, **parameters: Any) -> Iterator[Any]:
        """Each row of a list, newest first, over all its pages."""
        while True:
            page = replies.as_json(self._authorized("GET", path, parameters=parameters))
            yield from page["data"]
            following = page["meta"]["next"]
            if following is None:
                return
            # The query alone: the address is ours, whoever else an answer may name.
            parameters = dict(httpx.URL(following).params)

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        idempotency_key: str = "",
    ) -> Any:
        """`data` of the answer to any call, or None where it has none. Raises CallFailed."""
        response = self._authorized(
            method, path, body=body, parameters=parameters, idempotency_key=idempotency_key
        )
        answer = replies.body_of(response)
        return answer.get("data", answer) if isinstance(answer, dict) else answer

    def _authorized(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer to a call with our credential, which is refreshed once where it has ended."""
        if self._api_key is not None:
            return replies.accepted(self._send(method, path, token=self._api_key, **options))
        pair = self._in_session(self._pair)
        if time.time() > pair.expires_at - EARLY_SECONDS:
            pair = self._refresh(pair)
        response = self._send(method, path, token=pair.access_token, **options)
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            pair = self._refresh(pair)
            response = self._send(method, path, token=pair.access_token, **options)
        return replies.accepted(response)

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        token: str | None = None,
        idempotency_key: str = "",
        is_refresh: bool = False,
    ) -> httpx.Response:
        """The answer, whatever its status, but for what may and can be waited for."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        request = self._http.build_request(
            method,
            self._base + path,
            json=body,
            params=parameters or None,
            headers=headers,
            timeout=REFRESH_TIMEOUT_SECONDS if is_refresh else self._timeout,
        )
        is_repeatable = is_refresh or bool(idempotency_key) or method.upper() in _REPEATABLE
        deadline = time.monotonic() + self._patience
        latest = time.monotonic() + REFRESH_SECONDS
        pause = FIRST_PAUSE_SECONDS
        while True:
            response, fault = None, None
            is_undone = False  # known not to have been done, and so safe to send again
            wait = pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, no secret
            try:
                response = self._http.send(request)
            except httpx.DecodingError as error:
                raise NoAnswer(f"{method} {path}: {error}") from error
            except httpx.TransportError as error:
                fault, is_undone = error, isinstance(error, _NEVER_SENT)
            else:
                is_undone = response.status_code == HTTPStatus.TOO_MANY_REQUESTS
                if not is_undone and response.status_code not in _AWAY:
                    return response
                wait = max(wait, replies.retry_after(response))
            if is_refresh and not is_undone:
                deadline = min(deadline, latest)
            if not (is_undone or is_repeatable) or time.monotonic() + wait > deadline:
                if response is None:
                    raise NoAnswer(f"{method} {path}: {type(fault).__name__} {fault}") from fault
                return response
            time.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
