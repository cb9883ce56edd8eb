"""A server that cannot start says why in one line, before its master forks a worker.

The master itself holds no settings: a reload must bring new ones. So a child of it loads them and
reads the rings, and the master hears what is wrong. The same is done at a reload (HUP), where a
refusal leaves the workers as they are.
"""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string


@contextmanager
def refusals() -> Iterator[None]:
    """End the process with one line where the block raises ImproperlyConfigured."""
    try:
        yield
    except ImproperlyConfigured as error:
        sys.exit(f"fluxiq: {error}")


def check() -> None:
    """Load the settings and the rings in a child of this process.

    Raises ImproperlyConfigured where they cannot be loaded. What is no refusal but a fault of the
    code leaves its traceback in the log.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, _fault().encode())
        except Exception:  # of whatever kind: a reload that fails must not stop the workers
            traceback.print_exc()
            os.write(writing, b"the settings cannot be loaded: see the traceback above")
        finally:
            os._exit(0)  # without what the parent would do at its exit
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        fault = pipe.read()
    os.waitpid(child, 0)
    if fault:
        raise ImproperlyConfigured(fault)


def _fault() -> str:
    """Why the settings cannot be used; empty where they can."""
    try:
        readers = settings.RINGS
    except ImproperlyConfigured as error:
        return str(error)
    for name, path in readers.items():
        read = import_string(path)
        try:
            read()
        except ValueError as error:
            return f"{name}: {error}"
    try:
        caches[settings.RATELIMIT_USE_CACHE]
    except ImproperlyConfigured as error:
        return f"COUNTERS_PATH: {error}"
    return ""


def refuse_bad_reloads(server: Any) -> None:
    """Keep gunicorn's master and its workers where a reload finds a configuration to refuse."""
    reload, master = server.reload, os.getpid()

    def guarded() -> None:
        try:
            reload()
        except SystemExit as refusal:
            if os.getpid() != master:
                raise  # the end of a worker, which was forked in there
            server.log.error(
                "The reload is refused, and the workers stay as they were: %s", refusal
            )

    server.reload = guarded
