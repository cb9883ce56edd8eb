"""What several test files of this folder share."""

import pytest

from authn.tests.asking import Ask, ask_async, ask_sync


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Either verifier."""
    asks: Ask = request.param
    return asks
