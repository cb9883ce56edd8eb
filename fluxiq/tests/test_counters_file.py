"""The file of EmbeddedCounters: private, replaced where damaged, and where it is by default."""

import multiprocessing
import os
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from fluxiq.counters import EmbeddedCounters, default_location
from fluxiq.tests.embedded_counting import InAFile, check, run
from fluxiq.tests.waiting import wait_until

pytestmark = pytest.mark.once

SPAWN = multiprocessing.get_context("spawn")


def count_when_told(location: Path, told: "SimpleQueue[bool]", counts: "SimpleQueue[int]") -> None:
    counters = EmbeddedCounters(location, {})
    while told.get():
        counts.put(check(counters))


def damage(location: Path) -> None:
    # From another process: SQLite loses its locks where this one closes the file beside it.
    run(
        "import pathlib, sys\n"
        "for path in pathlib.Path(sys.argv[1]).parent.iterdir():\n"
        "    if not path.name.endswith('-shm'):\n"
        "        with path.open('r+b') as file:\n"
        "            file.write(b'no database ' * (path.stat().st_size // 12))\n",
        location,
    )


class TestFile(InAFile):
    def test_a_file_that_is_no_database_is_replaced(
        self, location: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        location.parent.mkdir(mode=0o700)
        location.write_bytes(b"no database " * 1000)
        counters = EmbeddedCounters(location, {})
        assert [check(counters), check(counters)] == [1, 2]
        assert f"counters in {location} start anew: file is not a database" in caplog.text

    def test_a_file_damaged_in_use_is_replaced_once_and_for_every_process(
        self, counters: EmbeddedCounters, location: Path
    ) -> None:
        told: SimpleQueue[bool] = SPAWN.SimpleQueue()
        counts: SimpleQueue[int] = SPAWN.SimpleQueue()
        other = SPAWN.Process(target=count_when_told, args=(location, told, counts))
        other.start()

        def told_other() -> int:
            told.put(True)
            return counts.get()

        assert [told_other(), check(counters)] == [1, 2]
        damage(location)
        # The other reads the damage. This one has all in memory, until it looks at the file.
        assert told_other() == 1
        wait_until(lambda: counters.get("bucket") == 1)
        assert [check(counters), told_other(), check(counters)] == [2, 3, 4]

        told.put(False)
        other.join()
        assert check(counters) == 5

    def test_a_file_removed_in_use_is_made_anew(
        self, counters: EmbeddedCounters, location: Path
    ) -> None:
        counters.set("before", 1)
        for path in location.parent.iterdir():
            path.unlink()
        location.parent.rmdir()
        wait_until(lambda: counters.get("before") is None)
        assert check(counters) == 1
        assert location.exists()

    def test_the_directory_is_made_for_its_owner_alone(
        self, counters: EmbeddedCounters, location: Path
    ) -> None:
        assert location.parent.stat().st_mode & 0o7777 == 0o700

    @pytest.mark.parametrize("mode", [0o770, 0o702, 0o1777])
    def test_a_directory_that_others_can_write_is_refused(self, location: Path, mode: int) -> None:
        location.parent.mkdir()
        location.parent.chmod(mode)
        with pytest.raises(ImproperlyConfigured, match="writable by other users"):
            EmbeddedCounters(location, {})

    def test_a_directory_of_another_user_is_refused(
        self, location: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        location.parent.mkdir(mode=0o700)
        somebody = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: somebody)
        with pytest.raises(ImproperlyConfigured, match=f"not to user {somebody}"):
            EmbeddedCounters(location, {})

    def test_a_link_to_a_directory_is_refused(self, location: Path, tmp_path: Path) -> None:
        (tmp_path / "target").mkdir(mode=0o700)
        location.parent.symlink_to(tmp_path / "target")
        with pytest.raises(ImproperlyConfigured, match="symbolic link"):
            EmbeddedCounters(location, {})

    def test_a_directory_that_cannot_be_made_is_a_clear_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ImproperlyConfigured, match="cannot be made: Not a directory"):
            EmbeddedCounters(tmp_path / "file" / "private" / "counters.sqlite3", {})

    def test_a_location_is_required(self) -> None:
        with pytest.raises(ImproperlyConfigured, match="LOCATION"):
            EmbeddedCounters("", {})


class TestDefaultLocation:
    def test_it_follows_from_the_user_and_the_identity(self) -> None:
        one = default_location("/srv/one")
        assert one == default_location("/srv/one") != default_location("/srv/two")
        assert one.parent.name.startswith(f"fluxiq-{os.geteuid()}-")

    def test_without_shared_memory_it_is_a_temporary_directory(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(os, "access", lambda *_: False)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        assert default_location("identity").parent.parent == tmp_path
