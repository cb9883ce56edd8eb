"""Log lines that tell the request they belong to, and no secret and no document. No Django in it.

LOG_FORMAT: `json`, one object a line, or `console`, to be read by people.
"""

import logging
import re
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from fluxiq import ids, origin
from fluxiq.settings.readers import one_of

JSON, CONSOLE = "json", "console"

# Whatever has the shape of a key, a JWT, an invitation or a document (CPF, CNPJ) of ours, in
# whatever text it stands.
_SECRETS = (
    (re.compile(r"(sk_(?:live|test)_)[0-9A-Za-z]{4,}"), r"\1***"),
    (re.compile(r"eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){1,2}"), "eyJ***"),
    (re.compile(r"(inv_)[A-Za-z0-9_-]{16,}"), r"\1***"),
    (
        re.compile(r"(?<![0-9A-Za-z])(?<!\d\.)\d{3}\.?\d{3}\.?\d{3}-?\d{2}(?![0-9A-Za-z])"),
        "[document]",
    ),
    (
        re.compile(
            r"(?<![0-9A-Za-z])[0-9A-Z]{2}\.?[0-9A-Z]{3}\.?[0-9A-Z]{3}/?[0-9A-Z]{4}-?\d{2}(?![0-9A-Za-z])"
        ),
        "[document]",
    ),
)


def mask_secrets(text: str) -> str:
    """The text with everything that is shaped like a secret of ours cut to its prefix, and without
    documents."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def in_a_line(error: BaseException) -> str:
    """What an error says, and its class, without a traceback: for what an outage has many of."""
    cause = error.__cause__ or error
    said = str(cause).partition("\n")[0]
    return f"{type(cause).__name__}: {said}"


class RequestFilter(logging.Filter):
    """Gives every record the request id, `-` outside a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = origin.current().request_id or "-"
        return True


class MaskingFormatter(logging.Formatter):
    """Masks the whole line as it is written: message, arguments and traceback alike."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_secrets(super().format(record))


Event = MutableMapping[str, Any]


def add_request(logger: Any, method: str, event: Event) -> Event:
    """A structlog processor: what is known of the request in hand.

    Its id, the caller (`principal`, `principal_kind`), the merchant that it is about, the route,
    and the status once there is one.
    """
    record: logging.LogRecord | None = event.get("_record")
    source = origin.current()
    request = source.request or getattr(record, "request", None)
    about: dict[str, Any] = {
        "request_id": source.request_id or getattr(request, "request_id", ""),
        "principal": source.actor_id,
        "principal_kind": source.actor_kind if source.actor_id else "",
        "merchant": _merchant(request),
        "method": getattr(request, "method", ""),
        "route": getattr(getattr(request, "resolver_match", None), "route", ""),
        "status": getattr(record, "status_code", ""),
    }
    for name, value in about.items():
        if value:
            event.setdefault(name, value)
    return event


def _merchant(request: Any) -> str:
    """The merchant in the request's URL, if the caller belongs to it, else their only one."""
    principal = getattr(getattr(request, "gate", None), "principal", None)
    if principal is None:
        return ""
    match = getattr(request, "resolver_match", None)
    named = str(getattr(match, "kwargs", {}).get("merchant_id", ""))
    if ids.is_valid(ids.Prefix.MERCHANT, named) and principal.belongs_to(named):
        return named
    return str(principal.grants[0].merchant_id) if len(principal.grants) == 1 else ""


def mask_event(logger: Any, method: str, event: Event) -> Event:
    """A structlog processor: `mask_secrets` for every name and value, however deep."""
    return {mask_secrets(str(name)): _masked(value) for name, value in event.items()}


def _masked(value: Any) -> Any:
    """The value as JSON has it, masked. A number that is masked becomes text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        return {mask_secrets(str(name)): _masked(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(inner) for inner in value]
    text = value if isinstance(value, str) else str(value)
    masked = mask_secrets(text)
    return value if isinstance(value, int | float) and masked == text else masked


def add_fields(logger: Any, method: str, event: Event) -> Event:
    """A structlog processor: what a logger was given as `extra={"fields": {…}}`."""
    event.update(getattr(event.get("_record"), "fields", {}))
    return event


def _json_formatter() -> dict[str, Any]:
    known: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.EventRenamer("message"),
        add_fields,
        add_request,
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        mask_event,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
    return {"()": structlog.stdlib.ProcessorFormatter, "processors": known}


_LINE = {
    "()": "fluxiq.logs.MaskingFormatter",
    "fmt": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
}


def logging_config(otherwise: str) -> dict[str, Any]:
    """The logging of every process, gunicorn's own too: as LOG_FORMAT says, else as given.

    Raises ImproperlyConfigured.
    """
    chosen = one_of("LOG_FORMAT", otherwise, (CONSOLE, JSON))
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request": {"()": "fluxiq.logs.RequestFilter"}},
        "formatters": {"line": _json_formatter() if chosen == JSON else _LINE},
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "filters": ["request"],
                "formatter": "line",
            }
        },
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {
            "gunicorn.error": {"handlers": [], "level": "INFO", "propagate": True},
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            # Every 4xx as a warning would bury what matters; the answer says it to the client.
            "django.request": {"handlers": [], "level": "ERROR", "propagate": True},
        },
    }
