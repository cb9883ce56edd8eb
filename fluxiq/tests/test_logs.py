"""What a log line says, and what it never says."""

import json
import logging
from types import SimpleNamespace

import pytest
from django.core.exceptions import ImproperlyConfigured

from fluxiq.logs import MaskingFormatter, RequestFilter, logging_config, mask_secrets
from fluxiq.origin import Origin, working_as
from fluxiq.principals import Grant, Kind, Principal

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


DOCUMENTS = (
    "52998224725",
    "529.982.247-25",
    "11222333000181",
    "11.222.333/0001-81",
    "12ABC34501DE35",
)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_document_is_written_in_full(document: str) -> None:
    for text in ("{}", "of {}: no", "document={}&x", '"{}"', "({})", "{}\n{}", "{}."):
        masked = mask_secrets(text.replace("{}", document))
        assert document not in masked
        assert "[document]" in masked


def test_numbers_and_ids_that_are_no_documents_stay() -> None:
    for text in (
        "0.12345678901 s at 1764000000123 from 203.0.113.9",
        "usr_01KGHNZCG0SDM7RCDMT5NQ63DC in req_61ae9fa7707e2b05643fc278",
        "2026-11-24T12:52:39.339599Z",
    ):
        assert mask_secrets(text) == text


class TestJson:
    """What production writes: LOG_FORMAT=json."""

    def line(self, message: str, *arguments: object, **given: object) -> dict[str, object]:
        formatter = dict(logging_config("json")["formatters"]["line"])
        record = logging.LogRecord("x", logging.ERROR, "f", 1, message, arguments, None)
        record.__dict__.update(given)
        written = formatter.pop("()")(**formatter).format(record)
        assert "\n" not in written
        loaded: dict[str, object] = json.loads(written)
        return loaded

    def test_a_line_is_an_object(self) -> None:
        line = self.line("%d of %s", 2, "three")
        assert (line["message"], line["level"], line["logger"]) == ("2 of three", "error", "x")
        assert str(line["timestamp"]).endswith("Z")

    def test_canaries_are_masked_wherever_they_stand(self) -> None:
        canaries = (KEY, JWT, INVITATION, *DOCUMENTS)
        try:
            raise ValueError(" ".join(canaries))
        except ValueError as error:
            raised = (ValueError, error, error.__traceback__)
        fields = {
            "text": KEY,
            "number": int(DOCUMENTS[0]),
            "list": [JWT, {"deep": (DOCUMENTS[1], int(DOCUMENTS[2]))}],
            INVITATION: "as a name",
            "object": ValueError(KEY),
            "kept": [1, 2.5, True, None],
        }
        line = self.line(f"of {JWT}: %s", KEY, exc_info=raised, fields=fields)
        written = json.dumps(line)
        for canary in canaries:
            assert canary not in written
        assert "ValueError: sk_live_***" in str(line["exception"])
        assert line["number"] == "[document]"
        assert line["kept"] == [1, 2.5, True, None]

    def test_a_line_tells_of_its_request(self) -> None:
        merchant = "mer_01KGHNZCG0SDM7RCDMT5NQ63DC"
        principal = Principal(
            Kind.API_KEY, "key_1", "k", grants=(Grant(merchant, "m", None, ("pix:read",)),)
        )
        request = SimpleNamespace(
            method="GET",
            gate=SimpleNamespace(principal=principal),
            resolver_match=SimpleNamespace(route="api/v1/accounts", kwargs={}),
        )
        with working_as(Origin("api_key", "key_1", request_id="req_1", request=request)):
            line = self.line("hello", status_code=503)
        assert {name: line[name] for name in ("request_id", "principal", "merchant")} == {
            "request_id": "req_1",
            "principal": "key_1",
            "merchant": merchant,
        }
        assert (line["route"], line["status"]) == ("api/v1/accounts", 503)

    def test_a_merchant_that_the_caller_does_not_belong_to_is_not_named(self) -> None:
        request = SimpleNamespace(
            gate=SimpleNamespace(principal=Principal(Kind.USER, "usr_1", "u")),
            resolver_match=SimpleNamespace(
                route="r", kwargs={"merchant_id": "mer_01KGHNZCG0SDM7RCDMT5NQ63DC"}
            ),
        )
        with working_as(Origin("user", "usr_1", request=request)):
            assert "merchant" not in self.line("hello")


def test_a_format_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_FORMAT", "xml")
    with pytest.raises(ImproperlyConfigured, match=r"LOG_FORMAT must be console or json$"):
        logging_config("json")
