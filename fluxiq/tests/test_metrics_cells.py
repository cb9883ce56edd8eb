"""Counting in shared memory: exact over threads and processes, and never backwards."""

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluxiq import metrics
from fluxiq.metrics import cells, shared
from fluxiq.metrics.families import (
    BREAKER_OPEN,
    BREAKER_OPENINGS,
    COUNTING,
    REFRESHES,
    REQUEST_BOUNDS,
    REQUESTS,
    SIGN_INS,
)
from fluxiq.tests.engines import PROJECT

pytestmark = pytest.mark.once

# A worker in miniature: it counts so often in two threads, tells of itself, and waits.
WORKER = """
import sys, threading
from pathlib import Path
from fluxiq import metrics
from fluxiq.metrics import shared
from fluxiq.metrics.families import BREAKER_OPEN, SIGN_INS
shared.begin(Path(sys.argv[1]))
def count():
    for _ in range(int(sys.argv[2])):
        metrics.add(SIGN_INS, "succeeded")
threads = [threading.Thread(target=count) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
metrics.put(BREAKER_OPEN, 1)
print("counted", flush=True)
sys.stdin.read()
"""
SUCCEEDED = (SIGN_INS.name, "succeeded")
OPEN = (BREAKER_OPEN.name,)


def worker(directory: Path, times: int) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(directory), str(times)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"
    return process


def end(process: "subprocess.Popen[str]", number: int = signal.SIGKILL) -> None:
    process.send_signal(number)
    process.wait(10)
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """This process counts there for one test."""
    shared.begin(tmp_path)
    yield tmp_path
    cells._after_fork()  # lets go of the file


def test_every_thread_of_every_process_is_counted_exactly(tmp_path: Path) -> None:
    processes = [worker(tmp_path, 5000) for _ in range(3)]
    try:
        found = shared.read(tmp_path)
        assert (found.totals[SUCCEEDED], found.workers) == ([30_000], 3)
        assert found.totals[OPEN] == [3]
    finally:
        for process in processes:
            end(process)


def test_what_a_killed_process_counted_stays_and_what_it_told_of_itself_goes(
    tmp_path: Path,
) -> None:
    first, second = worker(tmp_path, 100), worker(tmp_path, 10)
    end(first)
    for _ in range(3):  # each scrape finds the same
        found = shared.read(tmp_path)
        assert (found.totals[SUCCEEDED], found.workers) == ([220], 1)
        assert found.totals[OPEN] == [1]
    end(second, signal.SIGTERM)
    found = shared.read(tmp_path)
    assert (found.totals[SUCCEEDED], found.workers) == ([220], 0)
    assert OPEN not in found.totals
    assert [path.suffix for path in tmp_path.iterdir()] == [".past"]


def test_who_is_killed_between_adding_and_removing_adds_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(worker(tmp_path, 100))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            shared.read(tmp_path)
    assert len(list(tmp_path.glob("*.cells"))) == 1
    for _ in range(2):
        assert shared.read(tmp_path).totals[SUCCEEDED] == [200]
    assert not list(tmp_path.glob("*.cells"))


def test_files_of_another_layout_are_left_out_and_removed_once_their_process_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = worker(tmp_path, 100)
    monkeypatch.setattr(shared, "LAYOUT", "00000000")
    assert shared.read(tmp_path).totals == {}
    assert len(list(tmp_path.glob("*.cells"))) == 1
    end(old)
    assert shared.read(tmp_path).totals == {}
    assert not list(tmp_path.glob("*.cells"))


def test_a_thread_goes_on_where_one_that_ended_left_off(directory: Path) -> None:
    def count() -> None:
        metrics.add(REFRESHES, "rotated")

    for _ in range(50):
        thread = threading.Thread(target=count)
        thread.start()
        thread.join()
    (file,) = directory.glob("*.cells")
    written = [key for key, _ in cells.records(file.read_bytes())]
    assert written.count((REFRESHES.name, "rotated")) == 1
    assert shared.read(directory).totals[(REFRESHES.name, "rotated")] == [50]


def test_more_cells_than_one_chunk_holds_are_all_there(directory: Path) -> None:
    for number in range(2000):
        metrics.request_ended("GET", f"route/{number}", 200, "user", metrics.now())
    (file,) = directory.glob("*.cells")
    assert file.stat().st_size > 2 * cells.CHUNK
    totals = shared.read(directory).totals
    found = [values for key, values in totals.items() if key[0] == REQUESTS.name]
    assert [sum(values[:-1]) for values in found] == [1] * 2000


def test_a_time_falls_into_its_bucket_and_is_added_up(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for took in (1, REQUEST_BOUNDS[0], REQUEST_BOUNDS[0] + 1, REQUEST_BOUNDS[-1] + 1):
        monkeypatch.setattr(metrics, "perf_counter_ns", lambda took=took: 1000 + took)
        metrics.request_ended("GET", "x", 200, "user", 1000)
    values = shared.read(directory).totals[(REQUESTS.name, "GET", "x", 200, "user")]
    assert values[:2] == [2, 1]  # a bound belongs to its bucket
    assert values[-2] == 1
    assert values[-1] == 2 + 2 * REQUEST_BOUNDS[0] + REQUEST_BOUNDS[-1] + 1


def test_methods_that_a_client_invents_are_counted_as_one(directory: Path) -> None:
    for number in range(20):
        metrics.request_ended(f"INVENTED{number}", None, 405, "system", metrics.now())
    keys = [key for key in shared.read(directory).totals if key[0] == REQUESTS.name]
    assert keys == [(REQUESTS.name, "other", "", 405, "system")]


def test_without_room_nothing_fails_and_it_is_said_once(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*arguments: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    for number in range(2000):
        metrics.trip_ended(f"place {number}", metrics.now())
        metrics.trip_ended(f"place {number}", metrics.now())
    assert caplog.text.count("No space left on device") == 1
    kept = [key for key in shared.read(directory).totals if key[0] == COUNTING.name]
    assert 0 < len(kept) < 2000


def test_a_forked_child_does_not_count_for_its_parent(directory: Path) -> None:
    metrics.add(BREAKER_OPENINGS)
    child = os.fork()
    if child == 0:
        metrics.add(BREAKER_OPENINGS)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert shared.read(directory).totals[(BREAKER_OPENINGS.name,)] == [1]
