"""The WSGI application that gunicorn serves."""

import atexit
import gc
import logging
import os
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from typing import Any

import django
from django.conf import settings
from django.core import checks, signals
from django.core.cache import close_caches
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.base import reset_urlconf
from django.core.handlers.wsgi import WSGIHandler
from django.db import DEFAULT_DB_ALIAS, close_old_connections, connections, reset_queries
from django.http import HttpRequest
from django.urls import ResolverMatch, resolve, set_script_prefix
from django.utils.log import log_response
from django.utils.module_loading import import_string

from fluxiq.postgresql import patience
from fluxiq.server.bodies import StartResponse, Utf8Alone, WholeBodies

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fluxiq.settings.local")

logger = logging.getLogger(__name__)

# Seconds that the database has for an answer: to what the API asks, which takes milliseconds; to a
# page of the staff console, or work beside the requests.
API_PATIENCE = 2.0
PATIENCE = 10.0


class Handler(WSGIHandler):
    """Django's, less what it does around each request that is nothing here, and costs a tenth.

    Signals: our caches have nothing to close, queries are not logged, and connections that were
    looked after as the last response was closed need not be again. And the URL map and the script's
    name, which it would set for the thread anew though they are what they always are.
    """

    def __init__(self) -> None:
        super().__init__()
        signals.request_started.disconnect(reset_queries)
        signals.request_started.disconnect(close_old_connections)
        signals.request_finished.disconnect(close_caches)
        signals.request_finished.disconnect(reset_urlconf)
        signals.request_finished.disconnect(close_old_connections)
        self._fixed_routes: dict[str, ResolverMatch] = {}

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Any:
        if environ.get("SCRIPT_NAME"):
            set_script_prefix(environ["SCRIPT_NAME"])
        request = self.request_class(environ)
        patience.of_thread(None if request.path_info.startswith("/admin/") else API_PATIENCE)
        response: Any = self._middleware_chain(request)  # type: ignore[attr-defined]
        closers = (*response._resource_closers, request.close, _give_back_connection)
        response._resource_closers = [partial(_close_all, closers)]
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            phrase, path = response.reason_phrase, request.path
            log_response("%s: %s", phrase, path, response=response, request=request)
        cookies = [("Set-Cookie", morsel.OutputString()) for morsel in response.cookies.values()]
        headers = response.headers._store.values()
        start_response(f"{response.status_code} {response.reason_phrase}", [*headers, *cookies])
        return response

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        """The route of the request; one whose path has no parameters is looked up once."""
        path = request.path_info
        match = self._fixed_routes.get(path)
        if match is None:
            match = resolve(path)
            if not match.kwargs and not match.args:
                self._fixed_routes[path] = match
        request.resolver_match = match
        return match


def _give_back_connection() -> None:
    """As Django's `close_old_connections`, of the one database there is: to go through the list of
    them takes three times as long, and most requests have opened none."""
    connection = getattr(connections._connections, DEFAULT_DB_ALIAS, None)  # type: ignore[attr-defined]
    if connection is not None:
        connection.close_if_unusable_or_obsolete()


def _close_all(closers: Iterable[Callable[[], object]]) -> None:
    """Close what a response held. Django would let a closer that fails do so without a word."""
    for close in closers:
        try:
            close()
        except Exception:  # of whatever kind: the answer is sent, and the others are to close too
            logger.exception("what a request held could not be closed: %r", close)


def refuse_misconfiguration() -> None:
    """Run the system checks that `manage.py` would. Raises ImproperlyConfigured, naming each
    error: a server that starts with a key ring it cannot use would refuse everybody. To check the
    URL map is to load it, which a worker's first request would otherwise wait for."""
    found = checks.run_checks(tags=[checks.Tags.security, checks.Tags.caches, checks.Tags.urls])
    errors = [f"{message.msg} {message.hint or ''}" for message in found if message.is_serious()]
    if errors:
        raise ImproperlyConfigured("; ".join(errors))


# A process that ends would first look through all that it has loaded for garbage: 0.3 s of a core.
atexit.register(gc.freeze)
django.setup(set_prefix=False)
patience.of_process(PATIENCE)
application = Utf8Alone(WholeBodies(Handler()))
refuse_misconfiguration()
for start in settings.WORKER_STARTS:
    import_string(start)()
