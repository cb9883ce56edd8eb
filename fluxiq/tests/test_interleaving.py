"""A selection of interleaved operations, on the engine in hand; `make prove` tries them all."""

import os
from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from fluxiq.tests.interleaved_operations import OPERATIONS
from fluxiq.tests.interleaving import Arena
from fluxiq.tests.interleaving_arenas import arena_of
from fluxiq.tests.interleaving_faults import Count, interleave
from fluxiq.tests.served import EMBEDDED, SERVERS

ENGINES = SERVERS if os.environ.get("TEST_ENGINES") == "servers" else EMBEDDED
BY_NAME = {operation.name: operation for operation in OPERATIONS}

SELECTION = [
    ("change the password", "sign in"),
    ("reset the password", "reset the password"),
    ("deactivate the user", "finish a sign-in"),
    ("remove Vera", "issue a key (first)"),
    ("revoke the key", "invite (key)"),
]


@pytest.fixture(scope="module")
def arena(django_db_blocker: DjangoDbBlocker) -> Iterator[Arena]:
    with django_db_blocker.unblock(), arena_of(ENGINES) as opened:
        yield opened


@pytest.mark.parametrize(("taking", "using"), SELECTION)
def test_what_was_taken_away_is_used_for_nothing_afterwards(
    arena: Arena, taking: str, using: str
) -> None:
    count = Count()
    assert interleave(arena, BY_NAME[taking], BY_NAME[using], count) == []
    assert count.interleavings > 2
    assert count.waited > 0
