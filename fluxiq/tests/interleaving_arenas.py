"""Arenas on both engines, with the service's own rules of what is cached and no limits."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from unittest import mock

from django.db import transaction
from django.test import override_settings

from fluxiq.settings.engines import cache
from fluxiq.tests.engines import require
from fluxiq.tests.interleaving import Arena, arena
from fluxiq.tests.postgres_server import database, shared_postgres
from fluxiq.tests.served import EMBEDDED, SECRETS, seeded_database, seeded_file
from fluxiq.tests.valkey_server import start_valkey

MANY = (1_000_000, 60)
LIMITS = {f"RATE_LIMIT_{name}": MANY for name in ("API_KEY", "JWT", "ANONYMOUS")}


@contextmanager
def arena_of(engines: str) -> Iterator[Arena]:
    """An arena on these engines."""
    secrets = tuple(SECRETS.values())
    with ExitStack() as lifetime:
        scratch = Path(lifetime.enter_context(TemporaryDirectory(prefix="fluxiq-arena-")))
        if engines == EMBEDDED:
            file, _ = seeded_file(secrets)
            url, redis_url = f"sqlite:///{copy(file, scratch / 'db.sqlite3')}", ""
        else:
            postgres, valkey = require(shared_postgres), require(start_valkey)
            lifetime.callback(valkey.stop)
            name, _ = seeded_database(postgres.url, secrets)
            url = lifetime.enter_context(database(postgres, like=name))
            redis_url = valkey.url
        with mock.patch.dict(os.environ, {"ARENA_REDIS_URL": redis_url}):
            counters = {"default": cache("ARENA_REDIS_URL", scratch / "counters.sqlite3")}
        lifetime.enter_context(override_settings(**LIMITS, CACHES=counters))
        # The plugin of the tests has it done at once: here transactions commit.
        lifetime.enter_context(mock.patch("authn.remembered.after_commit", transaction.on_commit))
        yield lifetime.enter_context(arena(url))
