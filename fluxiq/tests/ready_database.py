"""A pytest plugin: the tests take the database that TEST_DATABASE_URL names as it is."""

import pytest


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """In the place of pytest-django's: whoever runs the tests has migrated it, once for many."""
