"""The runbook is rehearsed: a backup, the loss of all after it, a restore, and what follows.

Its commands are run as they stand there. What was revoked after the backup stays revoked.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fluxiq.tests import postgres_tools, runbook
from fluxiq.tests.engines import PROJECT, require
from fluxiq.tests.gunicorn_server import Gunicorn
from fluxiq.tests.postgres_server import database, shared_postgres
from fluxiq.tests.served import EMBEDDED, NO_LIMITS, SERVERS, Service, manage, serving

pytestmark = [pytest.mark.engine, pytest.mark.proof]

VERIFY = "/api/v1/auth/verify?permission=accounts:read"
FRESH = "a password that nobody knew"
DATABASES = {EMBEDDED: "SQLite", SERVERS: "PostgreSQL"}


@dataclass
class Story:
    """Who was there before the disaster, what they held, and the service after the restore."""

    service: Service
    kept: dict[str, Any]  # issued before the backup, and in force
    revoked: dict[str, Any]  # issued before the backup, revoked after it
    late: dict[str, Any]  # issued after the backup
    before: dict[str, Any]  # the owner's pair of tokens
    told: str  # what the commands printed


def issued(service: Service, token: str, name: str) -> dict[str, Any]:
    path = f"/api/v1/merchants/{service.demo['merchant_id']}/api-keys"
    body = {"name": name, "permissions": ["accounts:read"]}
    key: dict[str, Any] = service.call("POST", path, token, body).json["data"]
    return key


@contextmanager
def restored(engines: str) -> Iterator[Story]:
    """The service on the database restored, as the runbook says."""
    kind = DATABASES[engines]
    programs = require(postgres_tools.programs) if engines == SERVERS else Path()
    with ExitStack() as stack:
        scratch = Path(tempfile.mkdtemp(prefix="fluxiq-runbook-"))
        stack.callback(shutil.rmtree, scratch)
        (scratch / "exports").mkdir()
        (scratch / "manage.py").symlink_to(PROJECT / "manage.py")
        service = stack.enter_context(serving(engines, NO_LIMITS, workers=1))
        url = service.environment["DATABASE_URL"]
        if engines == SERVERS:
            new = stack.enter_context(database(shared_postgres()))
        else:
            new = f"sqlite:///{scratch}/restored.sqlite3"
        environment = {
            **service.environment,
            "DATABASE_FILE": urlsplit(url).path,
            "NEW_DATABASE_URL": new,
            "NEW_DATABASE_FILE": urlsplit(new).path,
        }
        owner, manager = service.sign_in(0), service.sign_in(1)
        kept = issued(service, owner["access_token"], "Kept")
        revoked = issued(service, owner["access_token"], "Revoked")

        def run(*blocks: str) -> str:
            return runbook.run(
                *blocks, directory=scratch, environment=environment, programs=programs
            )

        run(f"back up {kind}")
        late = issued(service, owner["access_token"], "Late")
        path = f"/api/v1/merchants/{service.demo['merchant_id']}/api-keys/{revoked['id']}"
        assert service.call("DELETE", path, owner["access_token"]).status == 204
        body = {"current_password": service.demo["users"][1]["password"], "new_password": FRESH}
        changed = service.call("POST", "/api/v1/auth/password", manager["access_token"], body)
        assert changed.status == 204
        manage(service.environment, "export_audit_log", str(scratch / "exports" / "9.jsonl"))
        service.gunicorn.process.stop()
        told = run(f"restore {kind}", "after a restore")
        after = {**service.environment, "DATABASE_URL": new}
        with Gunicorn(after, workers=1) as gunicorn:
            yield Story(Service(gunicorn, after, service.demo), kept, revoked, late, owner, told)


@pytest.fixture(scope="module", params=[SERVERS, pytest.param(EMBEDDED, marks=pytest.mark.proof)])
def story(request: pytest.FixtureRequest) -> Iterator[Story]:
    with restored(request.param) as told:
        yield told


def test_a_key_from_before_the_backup_serves(story: Story) -> None:
    assert story.service.call("GET", VERIFY, story.kept["key"]).status == 200


def test_a_key_revoked_after_the_backup_stays_revoked(story: Story) -> None:
    assert story.service.call("GET", VERIFY, story.revoked["key"]).status == 401


def test_a_key_issued_after_the_backup_is_lost_and_told_so(story: Story) -> None:
    assert story.service.call("GET", VERIFY, story.late["key"]).status == 401
    assert f"{story.late['id']}: made after the backup and lost" in story.told


def test_everybody_signs_in_again_and_can(story: Story) -> None:
    me = "/api/v1/auth/me"
    assert story.service.call("GET", me, story.before["access_token"]).status == 401
    body = {"refresh_token": story.before["refresh_token"]}
    assert story.service.call("POST", "/api/v1/auth/refresh", None, body).status == 401
    token = story.service.sign_in(0)["access_token"]
    assert story.service.call("GET", me, token).status == 200


def test_a_password_replaced_after_the_backup_serves_no_more(story: Story) -> None:
    user = story.service.demo["users"][1]
    for password in (user["password"], FRESH):
        body = {"document": user["document"], "password": password}
        assert story.service.call("POST", "/api/v1/auth/login", None, body).status == 401
    assert "has to set a new password" in story.told


def test_the_trail_is_whole_and_goes_on(story: Story) -> None:
    # The verification and the export of the runbook, each of which fails where it is not.
    assert " events are sound, from position 1 to " in story.told
    assert "to restored.jsonl" in story.told
