"""Log lines that tell the request they belong to, and no secret. No Django in it."""

import logging
import re

from fluxiq import origin

# Whatever has the shape of a key, a JWT or an invitation of ours, in whatever text it stands.
_SECRETS = (
    (re.compile(r"(sk_(?:live|test)_)[0-9A-Za-z]{4,}"), r"\1***"),
    (re.compile(r"eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){1,2}"), "eyJ***"),
    (re.compile(r"(inv_)[A-Za-z0-9_-]{16,}"), r"\1***"),
)


def mask_secrets(text: str) -> str:
    """The text with everything that is shaped like a secret of ours cut to its prefix."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class RequestFilter(logging.Filter):
    """Gives every record the request id, `-` outside a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = origin.current().request_id or "-"
        return True


class MaskingFormatter(logging.Formatter):
    """Masks the whole line as it is written: message, arguments and traceback alike."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_secrets(super().format(record))


# Of every process, gunicorn's own too.
CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request": {"()": "fluxiq.logs.RequestFilter"}},
    "formatters": {
        "line": {
            "()": "fluxiq.logs.MaskingFormatter",
            "fmt": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
        }
    },
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
