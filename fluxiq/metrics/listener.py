"""The socket of METRICS_PORT. No Django in it: gunicorn's master opens it, before any worker.

All workers inherit it, and whichever is free answers: one that hangs, starts or stops delays
nobody.
"""

import socket
from collections.abc import Mapping

from fluxiq.settings.environment import Variables

BACKLOG = 16

_listening: socket.socket | None = None


def open_once(environment: Mapping[str, str] | None = None) -> socket.socket | None:
    """The socket on METRICS_HOST and METRICS_PORT, opened unless it is; None without a port.

    Raises ValueError for a port that is none, OSError where it cannot be had, and
    ImproperlyConfigured as `Variables` does.
    """
    global _listening  # noqa: PLW0603 - one for a process and all that it forks
    if environment is None:
        environment = Variables(cache=False)
    port = environment.get("METRICS_PORT", "").strip()
    if _listening is None and port:
        host = environment.get("METRICS_HOST", "").strip() or "127.0.0.1"
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_STREAM)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # For a master that takes over from another (USR2).
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            opened.bind((host, int(port)))
            opened.listen(BACKLOG)
            opened.setblocking(False)  # of the workers that wake, one gets the connection
        except BaseException:
            opened.close()
            raise
        _listening = opened
    return _listening
