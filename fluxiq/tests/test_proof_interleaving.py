"""Every pair of writing operations, interleaved at every statement, on both engines."""

import time

import pytest
from pytest_django import DjangoDbBlocker

from fluxiq.tests.interleaved_operations import OPERATIONS, pairs
from fluxiq.tests.interleaving_arenas import arena_of
from fluxiq.tests.interleaving_faults import Count, interleave, try_alone
from fluxiq.tests.served import ENGINES

pytestmark = pytest.mark.proof


@pytest.mark.parametrize("engines", ENGINES)
def test_nothing_that_was_taken_away_is_used_afterwards(
    engines: str, django_db_blocker: DjangoDbBlocker
) -> None:
    count, faults, began = Count(), list[str](), time.monotonic()
    with django_db_blocker.unblock(), arena_of(engines) as arena:
        for operation in OPERATIONS:
            assert try_alone(operation).succeeded, operation.name
        for taking, using in pairs():
            faults += interleave(arena, taking, using, count)
    print(
        f"\n{engines}: {count.pairs} pairs, {count.interleavings} interleavings, {count.waited} of"
        f" them waited, {len(faults)} faults, {time.monotonic() - began:.0f} s"
    )
    assert faults == []
