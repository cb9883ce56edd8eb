"""Every pair of writing operations, interleaved at every statement, on both engines."""

import time

import pytest
from pytest_django import DjangoDbBlocker

from fluxiq.tests.interleaved_operations import OPERATIONS, pairs
from fluxiq.tests.interleaving_arenas import arena_of
from fluxiq.tests.interleaving_faults import Count, interleave, try_alone
from fluxiq.tests.served import ENGINES

pytestmark = [pytest.mark.proof, pytest.mark.untimed]

SHARDS = 2


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("engines", ENGINES)
def test_nothing_that_was_taken_away_is_used_afterwards(
    engines: str, shard: int, django_db_blocker: DjangoDbBlocker
) -> None:
    count, faults, began = Count(), list[str](), time.monotonic()
    with django_db_blocker.unblock(), arena_of(engines) as arena:
        for operation in OPERATIONS[shard::SHARDS]:
            assert try_alone(operation).succeeded, operation.name
        for taking, using in pairs()[shard::SHARDS]:
            faults += interleave(arena, taking, using, count)
    print(
        f"\n{engines}, part {shard + 1}: {count.pairs} pairs, {count.interleavings} interleavings,"
        f" {count.waited} of them waited, {len(faults)} faults, {time.monotonic() - began:.0f} s"
    )
    assert faults == []
