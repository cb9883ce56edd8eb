"""Rotating the ring of signing keys under traffic, and rings that no server starts with."""

import base64
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fluxiq.tests.engines import PROJECT
from fluxiq.tests.served import EMBEDDED, NO_LIMITS, SECRETS, Service, serving
from fluxiq.tests.waiting import wait_until

pytestmark = pytest.mark.engine

OLD, NEW = f"old:{'o' * 40}", f"new:{'n' * 40}"


def kid(token: str) -> Any:
    """The key that a token says it was signed with."""
    return json.loads(base64.urlsafe_b64decode(token.split(".", maxsplit=1)[0] + "=="))["kid"]


@contextmanager
def traffic(service: Service, tokens: list[str]) -> Iterator[list[int]]:
    """Requests with these tokens in turn, from two threads, for as long as the block lasts."""
    seen: list[int] = []
    stop = threading.Event()

    def go_on() -> None:
        for token in itertools.cycle(tokens):
            if stop.is_set():
                return
            seen.append(service.call("GET", "/api/v1/auth/me", token).status)

    threads = [threading.Thread(target=go_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def reload_with(service: Service, ring_file: Path, ring: str, signs: str) -> None:
    """Change the ring and reload the workers; a sign-in is signed by that kid then."""
    ring_file.write_text(ring)
    service.gunicorn.reload()
    assert kid(service.sign_in()["access_token"]) == signs


def test_rotating_the_ring_fails_no_request_and_a_retired_kid_is_401(tmp_path: Path) -> None:
    ring_file = tmp_path / "ring"
    ring_file.write_text(OLD)
    ring = {"JWT_SIGNING_KEYS": "", "JWT_SIGNING_KEYS_FILE": str(ring_file)}
    with serving(EMBEDDED, {**NO_LIMITS, **ring}, workers=2) as service:
        before = service.sign_in()
        tokens = [before["access_token"]]
        with traffic(service, tokens) as seen:
            reload_with(service, ring_file, f"{OLD},{NEW}", "old")
            reload_with(service, ring_file, f"{NEW},{OLD}", "new")
        assert len(seen) > 50
        assert set(seen) == {200}
        renewed = service.call(
            "POST", "/api/v1/auth/refresh", None, {"refresh_token": before["refresh_token"]}
        )
        assert renewed.status == 200
        assert kid(renewed.json["data"]["refresh_token"]) == "new"
        reload_with(service, ring_file, NEW, "new")
        assert service.call("GET", "/api/v1/auth/me", tokens[0]).status == 401
        fresh = renewed.json["data"]["access_token"]
        assert service.call("GET", "/api/v1/auth/me", fresh).status == 200


def test_a_reload_that_is_refused_leaves_the_workers_and_the_next_one_serves(
    tmp_path: Path,
) -> None:
    ring_file = tmp_path / "ring"
    ring_file.write_text(OLD)
    ring = {"JWT_SIGNING_KEYS": "", "JWT_SIGNING_KEYS_FILE": str(ring_file)}
    with serving(EMBEDDED, {**NO_LIMITS, **ring}, workers=2) as service:
        token = service.sign_in()["access_token"]
        before = service.gunicorn.workers()
        ring_file.write_text("n" * 40)
        os.kill(service.gunicorn.process.pid, signal.SIGHUP)
        refusal = "fluxiq: JWT_SIGNING_KEYS: entry 1 has no kid: it must be kid:secret"
        wait_until(lambda: refusal in service.gunicorn.log(), "the refusal")
        assert "n" * 40 not in service.gunicorn.log()
        assert service.gunicorn.workers() == before
        assert service.call("GET", "/api/v1/auth/me", token).status == 200
        for _ in range(2):  # of which the second ends workers that a reload made
            reload_with(service, ring_file, f"{NEW},{OLD}", "new")
        assert service.call("GET", "/api/v1/auth/me", token).status == 200
        assert "WORKER TIMEOUT" not in service.gunicorn.log()
        assert service.gunicorn.log().count("The reload is refused") == 1


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        (
            "JWT_SIGNING_KEYS",
            "k1:too-short",
            "JWT_SIGNING_KEYS: the secret of entry 1 has under 32 bytes",
        ),
        ("JWT_SIGNING_KEYS", f"k1:{'a' * 40},k1:{'b' * 40}", "entries 1 and 2 have the same kid"),
        ("JWT_SIGNING_KEYS", f"k1:{SECRETS['SECRET_KEY']}", "entry 1 is SECRET_KEY"),
        (
            "API_KEY_PEPPERS",
            "p1:short",
            "API_KEY_PEPPERS: the secret of entry 1 has under 16 bytes",
        ),
        ("AUDIT_KEYS", "a1:too-short", "AUDIT_KEYS: the secret of entry 1 has under 32 bytes"),
        ("MFA_KEYS", "m1:too-short", "MFA_KEYS: the secret of entry 1 has under 32 bytes"),
    ],
)
def test_a_server_does_not_start_with_a_ring_that_it_cannot_use(
    name: str, value: str, why: str
) -> None:
    environment = {**os.environ, **SECRETS, "REDIS_URL": "", name: value}
    done = subprocess.run(
        [sys.executable, "-c", "import fluxiq.wsgi"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "ImproperlyConfigured" in last
    assert why in last
    assert value not in last


def test_production_names_all_that_is_missing() -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "fluxiq.settings.production",
        "SECRET_KEY": "x" * 50,
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    for name in (
        "JWT_SIGNING_KEYS",
        "API_KEY_PEPPERS",
        "AUDIT_KEYS",
        "MFA_KEYS",
        "DATABASE_URL",
        "ALLOWED_HOSTS",
    ):
        assert name in last
    assert " SECRET_KEY" not in last
