"""The test run's engines, and clean counters for every test. Loaded by pytest.ini.

TEST_ENGINES=servers runs the suite on PostgreSQL and Valkey; without it, on SQLite and the
embedded counters.
"""

import os

import pytest

VARIABLES = ("TEST_DATABASE_URL", "TEST_REDIS_URL")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Start the servers before Django reads its settings; the workers inherit their URLs."""
    if os.environ.get("TEST_ENGINES") != "servers" or all(map(os.environ.get, VARIABLES)):
        return
    from fluxiq.tests import engines  # noqa: PLC0415 - imported early, it would miss assert rewriting

    os.environ["TEST_DATABASE_URL"] = engines.shared_postgres().url
    os.environ["TEST_REDIS_URL"] = engines.start_valkey().url


@pytest.fixture(autouse=True)
def clean_counters() -> None:
    """No test inherits another's counts."""
    from django.core.cache import cache  # noqa: PLC0415 - settings are not read at import time

    cache.clear()
