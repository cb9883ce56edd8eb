"""Log lines that tell the request they belong to."""

import logging

from fluxiq import origin


class RequestFilter(logging.Filter):
    """Gives every record the request id, `-` outside a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = origin.current().request_id or "-"
        return True
