"""The WSGI application that gunicorn serves."""

import os
import re
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application
from django.utils.module_loading import import_string

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fluxiq.settings.local")

MAX_CHUNKED_BODY = 64 * 1024

_CHARSET = re.compile(r";\s*charset\s*=[^;]*", re.IGNORECASE)

StartResponse = Callable[..., Any]
WSGIApplication = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class ChunkedBodies:
    """Gives a chunked body the length that Django asks for: without one, it reads none at all.

    One byte over the API's limit is enough to be refused for its size.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
            body = environ["wsgi.input"].read(MAX_CHUNKED_BODY + 1)
            environ["wsgi.input"] = BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
        return self._application(environ, start_response)


class Utf8Alone:
    """Drops the charset that a Content-Type names: Django would read the query in it, and so let
    a client hide a parameter, or fail on a codec that is none for text."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if "CONTENT_TYPE" in environ:
            environ["CONTENT_TYPE"] = _CHARSET.sub("", environ["CONTENT_TYPE"])
        return self._application(environ, start_response)


def refuse_misconfiguration() -> None:
    """Run the system checks that `manage.py` would. Raises ImproperlyConfigured, naming each
    error: a server that starts with a key ring it cannot use would refuse everybody."""
    found = checks.run_checks(tags=[checks.Tags.security, checks.Tags.caches])
    errors = [f"{message.msg} {message.hint or ''}" for message in found if message.is_serious()]
    if errors:
        raise ImproperlyConfigured("; ".join(errors))


application = Utf8Alone(ChunkedBodies(get_wsgi_application()))
refuse_misconfiguration()
for start in settings.WORKER_STARTS:
    import_string(start)()
