"""Slots that all processes of a machine share, and the bound on the threads of one process."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from pytest_django import Settings

from accounts import hashers
from accounts.hashers import Argon2id
from fluxiq.errors import ServiceUnavailable
from fluxiq.metrics.families import HASHING_REFUSED, Family
from fluxiq.slots import NoSlot, Room, slot
from fluxiq.tests.waiting import wait_until

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


def test_no_more_threads_are_in_a_room_than_its_limit() -> None:
    room = Room()
    with room.entered(2), room.entered(2):
        with pytest.raises(NoSlot):
            room.look(2)
        with pytest.raises(NoSlot), room.entered(2):
            pass
        with room.entered(3):
            pass
    room.look(1)


def test_a_room_is_left_when_its_block_raises() -> None:
    room = Room()
    for _ in range(3):
        with pytest.raises(RuntimeError), room.entered(1):
            raise RuntimeError
    room.look(1)


@pytest.mark.parametrize(("threads", "hashing"), [(1, 1), (2, 1), (3, 1), (4, 2), (8, 4)])
def test_half_of_a_workers_threads_may_hash(threads: int, hashing: int, settings: Settings) -> None:
    settings.WEB_THREADS = threads
    assert hashers.at_once_here() == hashing


class TestFull:
    """As many threads as may wait for a core, which are all taken, and one more."""

    @pytest.fixture(autouse=True)
    def _prepare(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
        monkeypatch.setattr("accounts.hashers.WAIT_SECONDS", 60.0)
        monkeypatch.setattr("accounts.hashers._at_once", lambda: 1)
        settings.HASHING_SLOTS_PATH = str(tmp_path / "slots")
        self.slots = tmp_path / "slots"

    @contextmanager
    def filled(self) -> Iterator[list[Future[str]]]:
        """As many hashes under way as may wait; they go on when the block is left."""
        limit = hashers.at_once_here()
        with ThreadPoolExecutor(limit) as pool, slot(self.slots, 1, 0):
            yield [pool.submit(self.encode) for _ in range(limit)]

    def encode(self) -> str:
        return Argon2id().encode("a password", "a salt of sixteen")

    def test_one_more_is_refused_at_once_and_those_that_wait_are_hashed(self) -> None:
        with self.filled() as waiting:
            wait_until(self.is_full, "threads that wait")
            with pytest.raises(ServiceUnavailable) as caught:
                self.encode()
            assert caught.value.headers() == {"Retry-After": "2"}
            assert not any(future.done() for future in waiting)
        hashed = {future.result() for future in waiting}
        assert hashed == {self.encode()}

    def test_what_is_refused_is_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        counted: list[Family] = []
        with self.filled():
            wait_until(self.is_full, "threads that wait")
            monkeypatch.setattr("fluxiq.metrics.add", counted.append)
            for refused in (self.encode, hashers.refuse_if_full):
                with pytest.raises(ServiceUnavailable):
                    refused()
        assert counted == [HASHING_REFUSED] * 2

    def test_a_hash_that_fails_gives_its_place_back(self) -> None:
        for _ in range(hashers.at_once_here() + 1):
            with pytest.raises(AttributeError):
                Argon2id().encode("a password", None)  # type: ignore[arg-type]
        assert self.encode()

    def is_full(self) -> bool:
        """Whether a hash would be refused now."""
        try:
            hashers.refuse_if_full()
        except ServiceUnavailable:
            return True
        return False
