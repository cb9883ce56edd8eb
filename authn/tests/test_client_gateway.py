"""authn.client.drf behind a gateway: its word on who calls is taken, and nobody else's."""

import json
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from authn.client.drf import GatewayAuthentication
from authn.tests.guarded import PixView, call
from authn.tests.stub import UNAUTHORIZED

pytestmark = pytest.mark.engine  # no database is touched: once is enough

GATEWAY = {
    "REMOTE_ADDR": "10.0.0.3",
    "HTTP_X_AUTH_KIND": "user",
    "HTTP_X_AUTH_SUBJECT": "usr_1",
    "HTTP_X_AUTH_MERCHANTS": "mer_1,mer_2",
    "HTTP_X_AUTH_PERMISSIONS": "pix:read pix:write",
}


class BehindGateway(PixView):
    authentication_classes: Any = [GatewayAuthentication]


@pytest.fixture
def gateways(settings: Any) -> None:
    """A network in which gateways stand."""
    settings.FLUXIQ_GATEWAYS = ["10.0.0.0/24", "::1"]


@pytest.mark.usefixtures("gateways")
class TestGatewayAuthentication:
    def test_a_gateways_word_is_taken(self) -> None:
        response = call(BehindGateway, **GATEWAY)
        assert json.loads(response.content) == {"data": {"by": "usr_1", "kind": "user"}}

    @pytest.mark.parametrize("peer", ["10.0.1.3", "", "unix:", "203.0.113.9"])
    def test_nobody_elses_is(self, peer: str) -> None:
        response = call(BehindGateway, **{**GATEWAY, "REMOTE_ADDR": peer})
        assert (response.status_code, response.content) == (401, UNAUTHORIZED)
        assert response.headers["WWW-Authenticate"] == "Bearer"

    def test_nor_is_it_where_no_gateway_is_named(self) -> None:
        with override_settings(FLUXIQ_GATEWAYS=[]):
            assert call(BehindGateway, **GATEWAY).status_code == 401

    def test_a_call_that_it_did_not_ask_about_is_401(self) -> None:
        assert call(BehindGateway, **{**GATEWAY, "HTTP_X_AUTH_SUBJECT": ""}).status_code == 401

    def test_what_the_view_needs_must_be_held(self) -> None:
        response = call(BehindGateway, **{**GATEWAY, "HTTP_X_AUTH_PERMISSIONS": "pix:read"})
        assert response.status_code == 403
        assert json.loads(response.content)["error"]["required_permission"] == "pix:write"

    def test_and_at_the_merchant_of_the_url(self) -> None:
        for merchant_id, status in (("mer_2", 200), ("mer_3", 403)):
            kwargs = {"merchant_id": merchant_id}
            assert call(BehindGateway, kwargs=kwargs, **GATEWAY).status_code == status

    @pytest.mark.parametrize("gateways", ["10.0.0.0/24", ["gateway"], ["10.0.0.1/24"]])
    def test_gateways_that_are_no_networks_are_an_error(self, gateways: Any) -> None:
        with override_settings(FLUXIQ_GATEWAYS=gateways), pytest.raises(ImproperlyConfigured):
            call(BehindGateway, **GATEWAY)
