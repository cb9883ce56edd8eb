"""`/metrics`, never open to everybody.

On METRICS_PORT, a socket of its own (`fluxiq.metrics.listener`), and behind METRICS_TOKEN where
there is one; on the port of the API only with that token.
"""

import logging
import socket
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare

from fluxiq.errors import NotFound, Unauthorized, render
from fluxiq.http import set_headers
from fluxiq.metrics import exposition

logger = logging.getLogger(__name__)

PATH = "/metrics"
CLIENT_SECONDS = 5  # that a scraper may take to ask, and to read
SCHEME = "bearer "
NO_STORE = {"Cache-Control": "no-store"}


def is_allowed(authorization: str) -> bool:
    """Whether this Authorization header holds METRICS_TOKEN. Without a token nothing does."""
    token: str = settings.METRICS_TOKEN
    given = authorization.strip()
    if not token or given[: len(SCHEME)].lower() != SCHEME:
        return False
    return constant_time_compare(given[len(SCHEME) :].strip(), token)


def view(request: HttpRequest) -> HttpResponse:
    """The metrics, on the API's own port: there is no such page without METRICS_TOKEN."""
    if not settings.METRICS_TOKEN:
        return render(NotFound())
    if not is_allowed(request.META.get("HTTP_AUTHORIZATION", "")):
        refusal = render(Unauthorized())
        set_headers(refusal, NO_STORE)
        return refusal
    content, content_type = exposition.render(request.META.get("HTTP_ACCEPT", ""))
    return HttpResponse(content, content_type=content_type, headers=NO_STORE)


class _Handler(BaseHTTPRequestHandler):
    timeout = CLIENT_SECONDS
    server_version = "metrics"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self._answer(HTTPStatus.NOT_FOUND)
        elif settings.METRICS_TOKEN and not is_allowed(self.headers.get("Authorization", "")):
            self._answer(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})
        else:
            content, content_type = exposition.render(self.headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, {"Content-Type": content_type}, content)

    def _answer(
        self, status: HTTPStatus, headers: Mapping[str, str] | None = None, content: bytes = b""
    ) -> None:
        self.send_response(status)
        always = {
            **NO_STORE,
            "X-Content-Type-Options": "nosniff",
            "Content-Length": str(len(content)),
        }
        for name, value in {**(headers or {}), **always}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *about: Any) -> None:
        """Nothing: a scraper asks all day."""


class Server(HTTPServer):
    """Answers on a socket that is open already, one scraper at a time."""

    handled: ClassVar = _Handler

    def __init__(self, listening: socket.socket) -> None:
        address = listening.getsockname()
        super().__init__(address, self.handled, bind_and_activate=False)
        self.socket.close()
        self.socket = listening

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request(request, client_address)
        finally:
            connections.close_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.exception("a scrape of the metrics failed")

    def serve(self) -> None:
        """Answer in a thread, for as long as the process lives."""
        threading.Thread(target=self.serve_forever, name="metrics", daemon=True).start()
