"""What several test files of this folder share."""

from collections.abc import Iterator

import pytest

from fluxiq.tests.gateway_case import Keys, guarding
from fluxiq.tests.served import Service


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """The service that all gateways ask, started once."""
    with guarding() as running:
        yield running


@pytest.fixture(scope="session")
def keys(service: Service) -> Keys:
    """To issue keys with."""
    return Keys(service)
