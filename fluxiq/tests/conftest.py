"""What several test files of this folder share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fluxiq.tests.compose_secrets import make_secrets
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


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of compose's secrets."""
    directory = tmp_path_factory.mktemp("made") / "secrets"
    make_secrets(directory)
    return directory
