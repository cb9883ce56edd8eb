"""Which hosts are served: those of ALLOWED_HOSTS, and for the probes any.

Django looks only where a host is used, and logs a traceback each time.
"""

import logging

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host

from fluxiq.errors import ValidationFailed, render
from fluxiq.http import PERMISSIONS_POLICY, set_headers

logger = logging.getLogger("fluxiq.requests")

# Asked by address, by what knows no name.
PROBES = frozenset({"/healthz", "/readyz"})
LONGEST = 255 + len(":65535")  # RFC 1035, section 2.3.4
MOST_REMEMBERED = 1000

_HEADERS = {
    "Cache-Control": "no-store",
    # As the staff console has them.
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Permissions-Policy": PERMISSIONS_POLICY,
    "X-Frame-Options": "DENY",
}


class ServedHosts:
    """The hosts of the settings in force as this is made."""

    def __init__(self) -> None:
        self._allowed = list(settings.ALLOWED_HOSTS)
        # What was looked at and is served: to look at one takes microseconds.
        self._known: set[str] = set()

    def include(self, request: HttpRequest) -> bool:
        """Whether the request is for a host that is served, or a probe."""
        host = _host_of(request)
        if host in self._known:
            return True
        if len(host) <= LONGEST:
            domain, _ = split_domain_port(host)
            if domain and validate_host(domain, self._allowed):
                if len(self._known) < MOST_REMEMBERED:
                    self._known.add(host)
                return True
        return request.path_info in PROBES


def _host_of(request: HttpRequest) -> str:
    meta = request.META
    host: str = meta["HTTP_HOST"] if "HTTP_HOST" in meta else meta.get("SERVER_NAME", "")
    return host


def refuse(request: HttpRequest) -> HttpResponse:
    """400 for a host that is not served; a line in the log names it, the answer does not."""
    shown = ascii(_host_of(request)[:LONGEST])
    logger.warning("refused a request for the host %s: not in ALLOWED_HOSTS", shown)
    response = render(ValidationFailed({"host": ["This host is not served here."]}))
    set_headers(response, _HEADERS)
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response
