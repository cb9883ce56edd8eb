"""What the API answers to a caller: data, a pair of tokens, or what is raised in their place."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx


class CallFailed(Exception):
    """The call came to nothing."""


class NoAnswer(CallFailed):
    """No answer, or none of the documented form, in the time there was. It may have been done."""


class ApiError(CallFailed):
    """The service refused: `status`, and `error` as it stands in the envelope."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        super().__init__(status, error)
        self.status = status
        self.error = error

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.error['message']}"

    @property
    def code(self) -> str:
        """Such as `FORBIDDEN`: what to branch on, since messages may change."""
        return str(self.error["code"])


class SessionOver(ApiError):
    """The refresh token serves no more: the person has to sign in again."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The tokens of a session, to keep as one. `expires_at` is the access token's end, Unix time
    by this machine's clock. Its representation shows no token."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: float


def retry_after(response: httpx.Response) -> int:
    """The seconds of the header, or 0 without one that counts them."""
    stated = re.fullmatch(r"[0-9]{1,9}", response.headers.get("Retry-After", ""))
    return int(stated[0]) if stated else 0


def as_json(response: httpx.Response) -> Any:
    """The body. Raises NoAnswer where it is no JSON."""
    try:
        return response.json()
    except (ValueError, RecursionError) as error:
        raise NoAnswer(f"status {response.status_code} that is no JSON") from error


def accepted(response: httpx.Response) -> httpx.Response:
    """The answer, where it is a success. Raises ApiError, or NoAnswer for what is neither."""
    if response.is_success:
        return response
    body = as_json(response)
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict) or not {"code", "message"} <= error.keys():
        raise NoAnswer(f"status {response.status_code} without the envelope")
    raise ApiError(response.status_code, error)


def body_of(response: httpx.Response) -> Any:
    """The body of a success, or None where it has none."""
    return as_json(response) if accepted(response).content else None


def pair_of(answer: Any) -> Pair:
    """The pair in an answer. Raises NoAnswer where there is none."""
    try:
        data = answer["data"]
        return Pair(
            data["access_token"], data["refresh_token"], time.time() + float(data["expires_in"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NoAnswer("a success without a pair of tokens") from error
