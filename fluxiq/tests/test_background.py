"""Recurring work: it goes on after failures, does what is left at the end, and not in a child."""

import os
import threading
from typing import Any
from unittest import mock

import pytest
from django.db import OperationalError

from fluxiq import background
from fluxiq.background import Recurring
from fluxiq.tests.waiting import wait_until


def test_it_is_done_again_and_again_and_once_more_at_the_end() -> None:
    calls: list[int] = []
    recurring = Recurring("work", lambda: calls.append(1), period=0.01)
    recurring.start()
    recurring.start()
    wait_until(lambda: len(calls) >= 3)
    assert [t.name for t in threading.enumerate()].count("work") == 1
    recurring.stop()
    assert "work" not in [t.name for t in threading.enumerate()]


def test_what_is_left_is_done_at_the_end_however_long_the_period() -> None:
    calls: list[int] = []
    recurring = Recurring("work", lambda: calls.append(1), period=3600)
    recurring.start()
    recurring.stop()
    assert calls == [1]


def test_what_fails_is_told_and_tried_again_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses: list[float] = []
    recurring = Recurring("work", lambda: 1 / 0, period=8)

    class Stopped:
        def wait(self, pause: float) -> bool:
            pauses.append(pause)
            return len(pauses) > 5

    monkeypatch.setattr(recurring, "_stopped", Stopped())
    monkeypatch.setattr(background, "connections", mock.Mock())
    recurring._run()
    assert pauses == [8, 16, 32, 60, 60, 60]
    assert caplog.messages == ["work failed, and will be tried again"] * 6
    assert background.MAX_PAUSE == 60


def test_a_database_that_is_away_is_told_of_in_a_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "connections", mock.Mock())
    away = OperationalError("the server is away\nand so on")
    assert not Recurring("work", mock.Mock(side_effect=away), period=8)._do()
    (record,) = caplog.records
    message = "work failed, and will be tried again: OperationalError: the server is away"
    assert (record.getMessage(), record.exc_info) == (message, None)


def test_a_forked_child_has_none_until_it_starts_one() -> None:
    calls: list[int] = []
    recurring = Recurring("work", lambda: calls.append(os.getpid()), period=0.01)
    recurring.start()
    wait_until(lambda: bool(calls))
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        calls.clear()
        before = "work" in [t.name for t in threading.enumerate()]
        recurring.start()
        wait_until(lambda: bool(calls))
        os.write(theirs, b"no" if before else b"ok")
        os._exit(0)
    recurring.stop()
    os.waitpid(child, 0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as told:
        assert told.read() == b"ok"


def test_a_stop_before_the_start_is_nothing() -> None:
    work: Any = None
    Recurring("work", work, period=1).stop()
