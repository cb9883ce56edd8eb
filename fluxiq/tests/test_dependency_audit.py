"""`make audit` by its outcomes: the real pip-audit, with a vulnerability service of the test's own.

It speaks as OSV's does (https://google.github.io/osv.dev/post-v1-query/); pip-audit can be told
another address of that one alone.
"""

import json
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from packaging.requirements import Requirement

from fluxiq.tests.engines import PROJECT, free_port

pytestmark = pytest.mark.engine  # no database of the test's own: once is enough

SCRIPT = PROJECT / ".ci" / "audit.py"


def locked() -> dict[str, str]:
    """The versions by name of what is locked for a machine like this one."""
    lines = (PROJECT / "requirements.lock").read_text().splitlines()
    pins = [Requirement(line.rstrip("\\ ")) for line in lines if "==" in line and line[0] != " "]
    return {
        pin.name: str(pin.specifier).removeprefix("==")
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }


def flaw(package: str) -> dict[str, Any]:
    """A vulnerability of that package, as the service tells of one."""
    events = [{"introduced": "0"}, {"fixed": "999.1"}]
    of = {"name": package, "ecosystem": "PyPI"}
    ranges = [{"type": "ECOSYSTEM", "events": events}]
    return {
        "id": f"PYSEC-0-{package}",
        "summary": "Invented",
        "affected": [{"package": of, "ranges": ranges}],
    }


@contextmanager
def telling(*flawed: str) -> Iterator[tuple[str, list[str]]]:
    """The URL of a service to which these packages are flawed, and the names asked about."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = query["package"]["name"]
            asked.append(name)
            body = json.dumps({"vulns": [flaw(name)]} if name in flawed else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()


def audit(service: str, *arguments: str) -> tuple[int, str]:
    """The exit status, and what was said, with the vulnerability service at that URL."""
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        env={
            **os.environ,
            "PIP_AUDIT_VULNERABILITY_SERVICE": "osv",
            "PIP_AUDIT_OSV_URL": service,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    return done.returncode, done.stdout


def test_it_asks_about_all_that_is_locked_and_passes_where_nothing_is_known() -> None:
    with telling() as (service, asked):
        status, said = audit(service)
    assert status == 0, said
    assert sorted(asked) == sorted(locked())
    assert said == f"{len(asked)} packages of requirements.lock: no known vulnerability\n"


@pytest.mark.parametrize("arguments", [(), ("--unless-unreachable",)])
def test_a_vulnerability_fails_and_is_named_with_the_version_that_mends_it(
    arguments: tuple[str, ...],
) -> None:
    with telling("django") as (service, _):
        assert audit(service, *arguments) == (
            1,
            f"django {locked()['django']}: PYSEC-0-django, mended in 999.1\n",
        )


def test_a_service_that_cannot_be_reached_fails_and_is_said() -> None:
    status, said = audit(f"http://127.0.0.1:{free_port()}")
    assert status == 2
    assert said.startswith("NOT AUDITED: pip-audit gave no report: ")


def test_a_service_that_cannot_be_reached_passes_where_that_is_asked_for_and_is_said() -> None:
    status, said = audit(f"http://127.0.0.1:{free_port()}", "--unless-unreachable")
    assert status == 0
    assert said.startswith("NOT AUDITED: ")


SKIPPED = {"name": "left-out", "skip_reason": "Dependency not found on PyPI"}
KNOWN = {"name": "django", "version": "5", "vulns": []}
FLAWED = {
    "name": "flawed",
    "version": "1",
    "vulns": [{"id": "PYSEC-1", "fix_versions": []}],
}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([KNOWN, SKIPPED], 2, "NOT AUDITED: the vulnerability service knows nothing of left-out"),
        ([SKIPPED], 0, "NOT AUDITED: the vulnerability service knows nothing of any package"),
        ([], 0, "NOT AUDITED: the vulnerability service knows nothing of any package"),
        ([FLAWED, SKIPPED], 1, "flawed 1: PYSEC-1, mended in no version yet"),
    ],
)
def test_what_was_not_asked_about_passes_only_where_it_is_everything(
    packages: list[dict[str, Any]],
    status: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the service of PyPI answers, which says of packages that it does not know them."""
    script = runpy.run_path(str(SCRIPT))
    report = json.dumps({"dependencies": packages})
    monkeypatch.setitem(
        script["main"].__globals__, "AUDIT", [sys.executable, "-c", f"print({report!r})"]
    )
    monkeypatch.setattr(sys, "argv", ["audit.py", "--unless-unreachable"])
    assert script["main"]() == status
    assert capsys.readouterr().out == f"{said}\n"
