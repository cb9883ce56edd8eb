"""A full disk under SQLite: what writes is answered 503, what reads goes on, and nothing breaks."""

import os
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fluxiq.tests.faults import serving_on
from fluxiq.tests.load import Client, Load, bearer, slowest, statuses
from fluxiq.tests.served import NO_LIMITS, Service

pytestmark = [pytest.mark.engine, pytest.mark.proof]

API = "/api/v1"
MEBIBYTE = 1024 * 1024
TRIES = 200  # a file of SQLite's has some room of its own, once it has grown


class Disk:
    """A small file system in memory, which can be filled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._filler.open("ab", buffering=0) as filler:
            for size in (MEBIBYTE, 4096):
                try:
                    while True:
                        filler.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        """Give the room back."""
        self._filler.unlink()


@contextmanager
def disk(size: str) -> Iterator[Disk]:
    """A new one. The test is skipped where none can be mounted."""
    with tempfile.TemporaryDirectory(prefix="fluxiq-disk-") as path:
        options = f"size={size},mode=0700,uid={os.geteuid()}"
        mount = ["mount", "-t", "tmpfs", "-o", options, "fluxiq", path]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("a file system can be mounted by root alone")
        try:
            yield Disk(Path(path))
        finally:
            unmount = ["umount", path]
            subprocess.run(unmount, check=True)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Service, Disk, Disk]]:
    """Four workers, whose database and whose counters lie on small disks."""
    with disk("16m") as of_database, disk("16m") as of_counters:
        environment = {**NO_LIMITS, "COUNTERS_PATH": f"{of_counters.path}/its/counters.sqlite3"}
        url = f"sqlite:///{of_database.path}/db.sqlite3"
        with serving_on(url, "", **environment) as service:
            yield service, of_database, of_counters


def sign_in(service: Service) -> int:
    """Sign in; the status. A refusal has the envelope."""
    user = service.demo["users"][0]
    body = {"document": user["document"], "password": user["password"]}
    answer = service.call("POST", f"{API}/auth/login", None, body)
    if answer.status != 200:
        assert answer.json["error"]["code"] == "SERVICE_UNAVAILABLE"
    return answer.status


def test_a_full_disk_stops_writing_alone_and_harms_nothing(
    running: tuple[Service, Disk, Disk],
) -> None:
    service, of_database, _ = running
    owner = service.sign_in()["access_token"]
    keys = f"{API}/merchants/{service.demo['merchant_id']}/api-keys"
    body = {"name": "On a full disk", "permissions": ["accounts:read"]}
    ports = [service.gunicorn.port]
    readers = Client("reader", ports, f"{API}/accounts", bearer(service.demo["key"]), pause=0.02)
    told: Counter[int] = Counter()
    with Load(readers) as load:
        of_database.fill()
        for _ in range(TRIES):
            answer = service.call("POST", keys, owner, body)
            told[answer.status] += 1
            if answer.status != 201:
                assert answer.json["error"]["code"] == "SERVICE_UNAVAILABLE"
            if told[503] == 10:
                break
        assert sign_in(service) == 503
        # What would end a credential is not said to have.
        assert service.call("POST", f"{API}/auth/logout", owner).status == 503
        assert service.call("GET", f"{API}/auth/me", owner).status == 200
        of_database.free()
        assert sign_in(service) == 200
        assert service.call("POST", f"{API}/auth/logout", owner).status == 204
        assert service.call("GET", f"{API}/auth/me", owner).status == 401
    assert told.keys() <= {201, 503}
    assert told[503] == 10
    assert statuses(load.seen).keys() == {200}
    assert slowest(load.seen) < 3
    with sqlite3.connect(of_database.path / "db.sqlite3") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        query = "SELECT count(*) FROM authn_apikey WHERE name = ?"
        assert database.execute(query, [body["name"]]).fetchone() == (told[201],)
    database.close()
    assert "are sound" in service.manage("verify_audit_log")


def test_nothing_passes_uncounted_where_the_counters_disk_is_full(
    running: tuple[Service, Disk, Disk],
) -> None:
    service, _, of_counters = running
    assert service.call("GET", "/readyz").json["data"] == {"status": "ready"}
    ports = [service.gunicorn.port]
    key = service.demo["key"]
    asks = Client("key", ports, f"{API}/auth/verify", bearer(key), threads=2, pause=0.005)
    with Load(asks) as load:
        time.sleep(0.2)
        of_counters.fill()
        time.sleep(2)
        ready = service.call("GET", "/readyz")
        signed_in = sign_in(service)
        of_counters.free()
        freed = time.monotonic()
        time.sleep(1)
    assert statuses(load.seen).keys() == {200, 503}
    assert {a.note for a in load.seen if a.status == 503} == {"SERVICE_UNAVAILABLE"}
    assert {a.status for a in load.seen if a.asked > freed} == {200}
    assert ready.json["error"]["details"] == {"counters": ["unusable"]}
    assert signed_in == 503
