"""deploy/gateway/nginx, run by the nginx of Debian (nginx-light)."""

import pytest

from fluxiq.tests.gateway_facts import GatewayFacts
from fluxiq.tests.gateways import nginx

pytestmark = pytest.mark.engine


class TestNginx(GatewayFacts):
    """Everything holds."""

    start = staticmethod(nginx)
    network = "127.0.1"
    misspelling = ("pix:read;", "pix:raed;")
