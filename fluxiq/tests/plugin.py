"""The test run's engines, and clean counters for every test. Loaded by pytest.ini.

TEST_ENGINES=servers runs the suite on PostgreSQL and Valkey; without it, on SQLite and the
embedded counters.
"""

import os
import time
from pathlib import Path

import hypothesis
import pytest

# What the tests share asserts too, and shows as much as they do where it fails.
pytest.register_assert_rewrite(
    *(f"fluxiq.tests.{path.stem}" for path in Path(__file__).parent.glob("[a-z]*.py")),
    *("accounts.tests", "authn.tests", "fluxiq.audit.tests", "merchants.tests"),
)

# A machine under load is no fault of the code.
hypothesis.settings.register_profile("fluxiq", deadline=None)
hypothesis.settings.load_profile("fluxiq")
# For mutants: the same examples each time, and few, since each mutant is met with all of them.
hypothesis.settings.register_profile(
    "mutants",
    deadline=None,
    derandomize=True,
    max_examples=30,
    database=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)

LONG = {"engine", "once"}  # markers of what starts processes
VARIABLES = ("TEST_DATABASE_URL", "TEST_REDIS_URL")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Start the servers before Django reads its settings; the workers inherit their URLs."""
    if os.environ.get("TEST_ENGINES") != "servers" or all(map(os.environ.get, VARIABLES)):
        return
    from fluxiq.tests.postgres_server import shared_postgres  # noqa: PLC0415 - early, no assert rewriting
    from fluxiq.tests.valkey_server import start_valkey  # noqa: PLC0415 - as above

    os.environ["TEST_DATABASE_URL"] = shared_postgres().url
    os.environ["TEST_REDIS_URL"] = start_valkey().url


def pytest_configure(config: pytest.Config) -> None:
    """Take the database as it is where that is asked for: after pytest-django, which makes one."""
    if os.environ.get("TEST_DATABASE_IS_READY"):
        config.pluginmanager.import_plugin("fluxiq.tests.ready_database")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first: the many short ones then keep every core at work
    until the end."""
    items.sort(key=lambda item: LONG.isdisjoint(mark.name for mark in item.iter_markers()))


@pytest.fixture(autouse=True)
def clean_counters() -> None:
    """No test inherits another's counts, nor the counters of settings that it changed."""
    from django.core.cache import cache  # noqa: PLC0415 - settings are not read at import time

    from fluxiq.counters import tallies  # noqa: PLC0415 - as above

    vars(tallies._thread).clear()
    cache.clear()


class StandingClock:
    """Time as it was when a test began, unless the test itself sets the clock."""

    TOLERANCE = 0.05  # seconds; a clock that is further off was set

    def __init__(self) -> None:
        self._began, self._ticks = time.time(), time.monotonic()

    def time(self) -> float:
        """Seconds since the epoch."""
        now, expected = time.time(), self._began + time.monotonic() - self._ticks
        return self._began if abs(now - expected) < self.TOLERANCE else now


@pytest.fixture(autouse=True)
def standing_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """No window of a limit ends in the middle of a test."""
    monkeypatch.setattr("django_ratelimit.core.time", StandingClock())


@pytest.fixture(autouse=True)
def forgetting_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's own transaction never commits: what is to be forgotten then is forgotten at once."""
    monkeypatch.setattr("authn.remembered.after_commit", lambda lay: lay())


@pytest.fixture(autouse=True)
def flushable_trail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that commits is cleaned up after by emptying all tables, which the audit trail's
    triggers refuse: only there they are taken off."""
    from django.test import TransactionTestCase  # noqa: PLC0415 - as above

    from fluxiq.tests.trail import triggers_off  # noqa: PLC0415 - as above

    tear_down = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]

    def without_triggers(test: TransactionTestCase) -> None:
        with triggers_off():
            tear_down(test)

    monkeypatch.setattr(TransactionTestCase, "_fixture_teardown", without_triggers)


@pytest.fixture(autouse=True)
def no_refusals_yet() -> None:
    """No test inherits what another counted for the audit trail."""
    from fluxiq.audit import tallies  # noqa: PLC0415 - settings are not read at import time

    tallies.forget()
