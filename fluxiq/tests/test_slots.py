"""Slots that all processes of a machine share."""

import multiprocessing
import os
import signal
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from pytest_django import Settings

from accounts.hashers import Argon2id
from fluxiq.errors import ServiceUnavailable
from fluxiq.slots import NoSlot, slot

pytestmark = pytest.mark.once


def hold(directory: Path, taken: Event, release: Event) -> None:
    """Hold the one slot until told otherwise."""
    with slot(directory, 1, 5):
        taken.set()
        release.wait(30)


def test_no_more_are_held_than_there_are(tmp_path: Path) -> None:
    with slot(tmp_path, 2, 0), slot(tmp_path, 2, 0), pytest.raises(NoSlot), slot(tmp_path, 2, 0):
        pass
    with slot(tmp_path, 2, 0):
        pass


def test_a_slot_is_given_back_when_its_block_raises(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), slot(tmp_path, 1, 0):
        raise RuntimeError
    with slot(tmp_path, 1, 0):
        pass


def test_a_slot_of_another_process_is_taken_and_free_again_when_it_is_killed(
    tmp_path: Path,
) -> None:
    context = multiprocessing.get_context("spawn")
    taken, release = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path, taken, release))
    other.start()
    try:
        assert taken.wait(20)
        with pytest.raises(NoSlot), slot(tmp_path, 1, 0):
            pass
        assert other.pid is not None
        os.kill(other.pid, signal.SIGKILL)
        other.join(20)
        with slot(tmp_path, 1, 0):
            pass
    finally:
        other.kill()


def test_a_hash_that_finds_no_core_is_503_with_retry_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr("accounts.hashers.WAIT_SECONDS", 0.02)
    monkeypatch.setattr("accounts.hashers._at_once", lambda: 1)
    settings.HASHING_SLOTS_PATH = str(tmp_path)
    with slot(tmp_path, 1, 0), pytest.raises(ServiceUnavailable) as caught:
        Argon2id().encode("a password", "a salt of sixteen")
    assert caught.value.headers() == {"Retry-After": "2"}
    assert Argon2id().verify("a password", Argon2id().encode("a password", "a salt of sixteen"))
