"""The socket of METRICS_PORT, which gunicorn's master opens before any worker. No settings in it.

All workers inherit it, and whichever is free answers: one that hangs, starts or stops delays
nobody.
"""

import socket

from django.core.exceptions import ImproperlyConfigured

from fluxiq.settings.server import metrics

BACKLOG = 16

_listening: socket.socket | None = None


def open_once() -> socket.socket | None:
    """The socket on METRICS_HOST and METRICS_PORT, opened unless it is; None without a port.

    Raises ImproperlyConfigured for values that are not of their kind, and where it cannot be had.
    """
    global _listening  # noqa: PLW0603 - one for a process and all that it forks
    address, port = metrics()
    if _listening is None and port:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_STREAM)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # For a master that takes over from another (USR2).
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            opened.bind((address, port))
            opened.listen(BACKLOG)
            opened.setblocking(False)  # of the workers that wake, one gets the connection
        except OSError as error:
            opened.close()
            raise ImproperlyConfigured(
                f"METRICS_PORT: cannot listen there: {error.strerror}"
            ) from error
        _listening = opened
    return _listening
