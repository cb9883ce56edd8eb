"""Errands: what requests hand over is done in turn, within bounds, and at the latest at the end."""

import os
import threading
from collections.abc import Iterator
from functools import partial
from unittest import mock

import pytest
from django.db import InterfaceError, OperationalError

from fluxiq import background, origin
from fluxiq.background import Errands
from fluxiq.errors import ServiceUnavailable
from fluxiq.tests.waiting import wait_until


@pytest.fixture(autouse=True)
def at_short_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Done soon, and without a database."""
    monkeypatch.setattr(background, "ERRAND_SECONDS", 0.01)
    monkeypatch.setattr(background, "connections", mock.Mock())


@pytest.fixture
def errands() -> Iterator[Errands]:
    """Of which three may wait."""
    errands = Errands("errands", most=3)
    yield errands
    errands.stop()


def test_they_are_done_in_turn_by_another_thread(errands: Errands) -> None:
    done: list[tuple[int, str]] = []

    def note(number: int) -> None:
        done.append((number, threading.current_thread().name))

    for number in range(3):
        errands.hand_over(partial(note, number))
    wait_until(lambda: len(done) == 3)
    assert done == [(n, "errands") for n in range(3)]


def test_an_errand_may_hand_over_another(errands: Errands) -> None:
    done: list[str] = []

    def first() -> None:
        done.append("first")
        errands.hand_over(lambda: done.append("second"))

    errands.hand_over(first)
    wait_until(lambda: done == ["first", "second"])


def test_beyond_the_bound_none_is_taken() -> None:
    with mock.patch.object(background, "ERRAND_SECONDS", 3600):
        errands = Errands("errands", most=3)
    done: list[int] = []
    taken = [errands.hand_over(partial(done.append, n)) for n in range(5)]
    assert taken == [True, True, True, False, False]
    errands.stop()  # as a process that exits does
    assert done == [0, 1, 2]


def test_it_is_done_as_who_handed_it_over_and_keeps_no_request(errands: Errands) -> None:
    seen: list[origin.Origin] = []
    theirs = origin.Origin("user", "usr_1", "192.0.2.1", "a browser", "req_1", request=object())
    with origin.working_as(theirs):
        errands.hand_over(lambda: seen.append(origin.current()))
    wait_until(lambda: bool(seen))
    assert seen == [origin.Origin("user", "usr_1", "192.0.2.1", "a browser", "req_1")]


@pytest.mark.parametrize(
    "outage", [OperationalError("away"), InterfaceError(), ServiceUnavailable()]
)
def test_during_an_outage_it_waits_and_is_done_after(
    errands: Errands, outage: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    work = mock.Mock(side_effect=[outage, outage, None])
    behind = mock.Mock()
    errands.hand_over(work)
    errands.hand_over(behind)
    wait_until(lambda: behind.called)
    assert (work.call_count, behind.call_count) == (3, 1)
    assert [(r.levelname, r.exc_info) for r in caplog.records] == [("ERROR", None)] * 2


def test_what_fails_is_logged_and_holds_up_nobody(
    errands: Errands, caplog: pytest.LogCaptureFixture
) -> None:
    work, behind = mock.Mock(side_effect=ZeroDivisionError), mock.Mock()
    errands.hand_over(work)
    errands.hand_over(behind)
    wait_until(lambda: behind.called)
    assert (work.call_count, behind.call_count) == (1, 1)
    assert caplog.messages == ["errands: what was handed over failed"]


def test_a_forked_child_has_none_of_its_parents() -> None:
    with mock.patch.object(background, "ERRAND_SECONDS", 3600):
        errands = Errands("errands", most=3)
    done: list[str] = []
    errands.hand_over(lambda: done.append("the parent's"))
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        errands.hand_over(lambda: done.append("its own"))
        errands.stop()
        os.write(theirs, repr(done).encode())
        os._exit(0)
    errands.stop()
    os.waitpid(child, 0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as told:
        assert told.read() == b"['its own']"
    assert done == ["the parent's"]
