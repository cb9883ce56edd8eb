"""The audit trail over real workers and engines: one unbroken chain, whoever is killed."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from fluxiq.tests.backstage import Backstage, sealed
from fluxiq.tests.engines import PROJECT
from fluxiq.tests.served import ENGINES, NO_LIMITS, Service, manage, serving
from fluxiq.tests.trail import grants
from fluxiq.tests.waiting import wait_until

pytestmark = pytest.mark.engine

WRITERS = 8
EACH = 40


@pytest.fixture(scope="module", params=ENGINES)
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """Two workers without limits."""
    with serving(request.param, NO_LIMITS, workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def stage(service: Service) -> Iterator[Backstage]:
    """A process beside the workers, which verifies and writes."""
    with Backstage(service.environment) as process:
        yield process


def test_many_writers_and_sealers_make_one_unbroken_chain(
    service: Service, stage: Backstage
) -> None:
    before = sealed(stage)["sound"]
    with Backstage(service.environment) as other, ThreadPoolExecutor(2) as pool:
        written = pool.map(
            lambda process: process.do("write_events", threads=WRITERS // 2, each=EACH),
            (stage, other),
        )
        assert sum(written) == WRITERS * EACH
    report = sealed(stage)
    assert report["sound"] == report["head"]["position"] == before + WRITERS * EACH


def test_an_event_that_commits_late_is_sealed_after_those_that_came_meanwhile(
    service: Service, stage: Backstage, tmp_path: Path
) -> None:
    if "sqlite" in service.environment["DATABASE_URL"]:
        pytest.skip("SQLite has one writer at a time")
    begun, go = tmp_path / "begun", tmp_path / "go"
    with Backstage(service.environment) as process, ThreadPoolExecutor(1) as pool:
        late = pool.submit(process.do, "write_late", begun=str(begun), until=str(go))
        wait_until(begun.exists, "the late event")
        service.sign_in()  # not held up by it
        before = sealed(stage)["sound"]
        go.touch()
        late.result(20)
    assert sealed(stage)["sound"] == before + 1


def test_a_worker_that_is_killed_loses_no_event_that_was_answered_for(
    service: Service, stage: Backstage
) -> None:
    before = sealed(stage)["sound"]
    token = service.sign_in()["access_token"]
    path = f"/api/v1/merchants/{service.demo['merchant_id']}/api-keys"
    answered: list[str] = []
    lost: list[int] = []
    under_way = threading.Event()

    def issue(number: int) -> None:
        body = {"name": f"Trial {number}", "permissions": ["accounts:read"]}
        try:
            answer = service.call("POST", path, token, body)
        except (http.client.HTTPException, OSError):
            lost.append(number)
            return
        assert answer.status == 201, answer
        answered.append(answer.json["data"]["id"])
        if number > 20:
            under_way.set()

    with ThreadPoolExecutor(6) as pool:
        done = pool.map(issue, range(90))
        assert under_way.wait(20)
        os.kill(min(service.gunicorn.workers()), signal.SIGKILL)
        list(done)
    assert len(lost) <= 6
    report = sealed(stage)
    # Each key is an event, and so is the sign-in; one of an answer that was lost may be there.
    assert 0 <= report["sound"] - before - len(answered) - 1 <= len(lost)
    events: list[str] = []
    url = f"/api/v1/merchants/{service.demo['merchant_id']}/audit-events?kind=api_key.issued"
    page = service.call("GET", f"{url}&limit=100", token).json
    events += [event["object_id"] for event in page["data"]]
    assert set(answered) <= set(events)


def test_a_sealer_that_is_killed_in_the_middle_leaves_the_chain_whole(
    service: Service, stage: Backstage
) -> None:
    before = sealed(stage)["sound"]
    for worker in service.gunicorn.workers():
        os.kill(worker, signal.SIGSTOP)  # they leave the sealing to who is killed
    try:
        stage.do("write_events", threads=1, each=9, seals=False)
        sealer = subprocess.Popen(
            [sys.executable, "-c", KILLED],
            cwd=PROJECT,
            env={**os.environ, **service.environment},
        )
        assert sealer.wait(60) == -signal.SIGKILL
        report = stage.do("verify_trail")
        assert (report["faults"], report["waiting"]) == ([], 9)
    finally:
        for worker in service.gunicorn.workers():
            os.kill(worker, signal.SIGCONT)
    report = sealed(stage)
    assert report["sound"] == before + 9


# Dies between the seals and the end of their transaction.
KILLED = """
import os, signal, django
django.setup()
from fluxiq.audit import sealing
from fluxiq.audit.models import Seal
made = Seal.objects.bulk_create
def bulk_create(*args):
    made(*args)
    os.kill(os.getpid(), signal.SIGKILL)
Seal.objects.bulk_create = bulk_create
sealing.seal_batch()
raise SystemExit("nothing was sealed")
"""


def test_refusals_are_told_by_all_workers_as_one(service: Service, stage: Backstage) -> None:
    """Counts of several processes meet in one event; it takes a minute, so here they only meet."""
    token = service.sign_in(2)["access_token"]  # the operator
    for _ in range(12):
        assert service.call("GET", "/api/v1/users", token).status == 403
    wait_until(lambda: stage.do("refusals_counted") == 12, "twelve refusals", pause=0.1)


def test_the_retention_role_prunes_what_was_exported_and_nobody_else(
    service: Service, stage: Backstage, tmp_path: Path
) -> None:
    sealed(stage)
    service.manage("export_audit_log", str(tmp_path / "export"))
    pruned = {**service.environment}
    if service.environment["DATABASE_URL"].startswith("postgres"):
        refused = subprocess.run(
            [sys.executable, "manage.py", "prune_audit_log", "--keep", "0", "--yes"],
            cwd=PROJECT,
            env={**os.environ, **service.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert refused.returncode == 1
        assert "the audit trail is only ever added to" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        pruned["DATABASE_URL"] = _as_retention(service.environment["DATABASE_URL"])
    report = sealed(stage)
    done = json.loads(manage(pruned, "prune_audit_log", "--keep", "0", "--yes", "--json"))
    assert done["events"] == done["below"] - 1 > 100
    after = sealed(stage)
    assert after["first"] == done["below"]
    assert after["head"]["position"] >= report["head"]["position"]
    service.manage("verify_audit_log", "--export", str(tmp_path / "export"))


def _as_retention(url: str) -> str:
    """The URL of the same database for the retention role, which is made where it is not there."""
    make, grant = grants().split(";", 1)
    with psycopg.connect(url, autocommit=True) as connection:
        exists = "SELECT FROM pg_roles WHERE rolname = 'fluxiq_retention'"
        if connection.execute(exists).fetchone() is None:
            connection.execute(make)
        connection.execute(grant)
    user, at, rest = url.partition("://")[2].rpartition("@")
    assert user + at
    return f"postgres://fluxiq_retention@{rest}"
