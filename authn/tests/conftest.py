"""What several test files of this folder share."""

import time
from types import SimpleNamespace

import pytest

from authn.client import api
from authn.tests.asking import Ask, ask_async, ask_sync


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Either verifier."""
    asks: Ask = request.param
    return asks


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that were asked for, none of which is waited: the clock is put on instead."""
    asked: list[float] = []
    clock = SimpleNamespace(
        time=time.time,
        monotonic=lambda: time.monotonic() + sum(asked),
        sleep=asked.append,
    )
    monkeypatch.setattr(api, "time", clock)
    return asked
