"""The question about one call: what is sent to the authentication service, and how it is read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import httpx

from authn.client import answers
from authn.client.answers import Grant

MAX_CREDENTIAL = 8000  # characters; a longer one is none, and no server would read the header
MAX_HOPS = 16
MAX_HOP = 64  # characters of an address


@dataclass(frozen=True, slots=True)
class Question:
    """One call to judge: its credential, what it needs and where, and whose it is."""

    permissions: tuple[str, ...]
    merchant_id: str | None
    headers: dict[str, str]
    request_id: str

    @property
    def parameters(self) -> dict[str, Sequence[str]]:
        """The query."""
        merchant = {} if self.merchant_id is None else {"merchant_id": (self.merchant_id,)}
        return {"permission": self.permissions, **merchant}

    def read(self, answer: "Answer") -> Grant:
        """The grant in the answer. Raises Refused."""
        status, headers, body = answer
        return answers.read(
            status,
            headers,
            body,
            permissions=self.permissions,
            merchant_id=self.merchant_id,
            request_id=self.request_id,
        )


Answer = tuple[int, httpx.Headers, bytes]


def question(
    authorization: str | None,
    permissions: str | Iterable[str],
    *,
    merchant_id: str | None = None,
    peer: str = "",
    forwarded_for: str = "",
    request_id: str = "",
) -> Question:
    """The question about a call, as headers and query. Nothing that a client sent makes it fail."""
    request_id = answers.new_request_id(request_id)
    headers = {"X-Request-ID": request_id}
    if authorization is not None:
        sendable = authorization if len(authorization) <= MAX_CREDENTIAL else "?"
        headers["Authorization"] = _printable(sendable.strip())
    hops = [*forwarded_for.split(",")[-MAX_HOPS:], peer] if forwarded_for else [peer]
    chain = ", ".join(_printable(hop.strip()) if len(hop) <= MAX_HOP else "?" for hop in hops)
    if chain:
        headers["X-Forwarded-For"] = chain
    asked = (permissions,) if isinstance(permissions, str) else tuple(permissions)
    return Question(asked, merchant_id, headers, request_id)


def _printable(text: str) -> str:
    """The text with a `?`, which is in no credential and no address, for what no header holds."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)


def service_url(url: str) -> str:
    """The address of a service, without a last slash. Raises ValueError for a URL that is none."""
    base = httpx.URL(url)
    plain = not (base.userinfo or base.query or base.fragment)
    if base.scheme not in ("http", "https") or not base.host or not plain:
        raise ValueError(f"not the http(s) address of a service: {url!r}")
    return str(base).rstrip("/")
