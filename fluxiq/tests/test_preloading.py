"""A worker starts and ends quickly: libraries are imported once, before gunicorn forks, and the end
searches nothing of what was loaded for garbage."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from fluxiq.preloading import LIBRARIES
from fluxiq.tests.engines import PROJECT

pytestmark = pytest.mark.once

PRELOADED = """
import json, sys
from django.conf import settings
from fluxiq import preloading
preloading.import_libraries()
print(json.dumps([settings.configured, sorted(sys.modules)]))
"""
SERVING = """
import json, sys
import fluxiq.wsgi
print(json.dumps(sorted(sys.modules)))
"""

ENDING = """
import atexit, gc, json
import fluxiq.wsgi
atexit._run_exitfuncs()
print(json.dumps(gc.get_freeze_count()))
"""


def printed(code: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env={**os.environ, "TEST_DATABASE_URL": "postgres://nobody@127.0.0.1:1/never-asked"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_neither_settings_nor_code_of_the_project_are_held_by_the_master() -> None:
    """It would serve the old ones after a SIGHUP."""
    configured, modules = printed(PRELOADED)
    ours = [name for name in modules if name.split(".")[0] in {"accounts", "authn", "merchants"}]
    ours += [name for name in modules if name.startswith("fluxiq.")]
    assert (configured, ours) == (False, ["fluxiq.preloading"])


@pytest.fixture(scope="module")
def serving() -> list[str]:
    names: list[str] = printed(SERVING)
    return names


@pytest.mark.parametrize("library", LIBRARIES)
def test_each_library_is_one_that_a_worker_would_import(library: str, serving: list[str]) -> None:
    assert library in serving


def test_a_worker_that_is_ready_has_loaded_the_views(serving: list[str]) -> None:
    assert {"fluxiq.urls", "authn.views.verify", "merchants.views"} <= set(serving)


def test_a_worker_that_ends_looks_through_nothing_that_it_loaded() -> None:
    assert printed(ENDING) > 50_000
