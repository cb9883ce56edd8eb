"""What a log line says, and what it never says."""

import logging

import pytest

from fluxiq.logs import MaskingFormatter, RequestFilter, mask_secrets
from fluxiq.origin import Origin, working_as

KEY = "sk_live_0123456789ABCDEFGHIJKLMNOPQRSTUV28hqg7"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c3JfMSJ9.c2lnbmF0dXJl"
INVITATION = "inv_7Fq0ZkP2vRkMbqYx3nWc8dTgLs5hUeJa"


@pytest.mark.parametrize(
    ("secret", "left"), [(KEY, "sk_live_***"), (JWT, "eyJ***"), (INVITATION, "inv_***")]
)
def test_what_is_shaped_like_a_secret_is_cut_to_its_prefix(secret: str, left: str) -> None:
    for text in ("{}", "Bearer {}", "?token={}&x=1", '"{}"', "{},{}", "x{}y", "{}\n{}"):
        masked = mask_secrets(text.replace("{}", secret))
        assert secret[-12:] not in masked
        assert left in masked


def test_what_is_no_secret_stays() -> None:
    text = "key_01KGHNZCG0SDM7RCDMT5NQ63DC of sk_live_…i789 at 2026-02-03T12:00:00Z"
    assert mask_secrets(text) == text


def line(message: str, *arguments: object, exc_info: object = None) -> str:
    """What is written of a record."""
    record = logging.LogRecord("x", logging.ERROR, "f", 1, message, arguments, exc_info)  # type: ignore[arg-type]
    RequestFilter().filter(record)
    return MaskingFormatter("[%(request_id)s] %(message)s").format(record)


def test_message_arguments_and_traceback_are_masked() -> None:
    try:
        raise ValueError(f"no such key: {KEY}")
    except ValueError as error:
        written = line(f"of {JWT}: %s", KEY, exc_info=(type(error), error, error.__traceback__))
    assert "ValueError: no such key: sk_live_***" in written
    assert KEY not in written
    assert JWT not in written


def test_a_line_names_its_request() -> None:
    with working_as(Origin(request_id="req_1")):
        assert line("hello") == "[req_1] hello"
    assert line("hello") == "[-] hello"
