"""deploy/gateway/caddy, run by Caddy."""

import pytest

from fluxiq.tests.gateway_facts import GatewayFacts
from fluxiq.tests.gateways import caddy

pytestmark = pytest.mark.engine


class TestCaddy(GatewayFacts):
    """Everything holds."""

    start = staticmethod(caddy)
    network = "127.0.2"
    misspelling = ('/pix(/|$)" pix:read', '/pix(/|$)" pix:raed')
