"""Every ring of two servers, rotated as docs/operate.md says, under load, forwards and back."""

import pytest

from fluxiq.tests.backstage import Backstage
from fluxiq.tests.load import NO_ANSWER
from fluxiq.tests.rotation import Rotation, steps, values
from fluxiq.tests.two_servers import WAYS, two_servers

pytestmark = pytest.mark.proof


@pytest.mark.parametrize("way", WAYS)
def test_a_rotation_by_the_documented_steps_refuses_nobody(way: str) -> None:
    way_there = steps()
    way_back = way_there[-2::-1]
    alone = values(way_there[0], sealed_by_both=False)
    with (
        two_servers(alone, alone, workers=2) as servers,
        Backstage(servers[0].service.environment) as backstage,
    ):
        rotation = Rotation(servers, backstage)
        rotation.begin()
        present = way_there[0]
        for entries in (*way_there[1:], *way_back):
            for leaving in set(present) - set(entries):
                rotation.retire(leaving)
            rotation.go(entries, way)
            present = entries
            rotation.prove_trail()
    refused = sum(rotation.seen.values()) - rotation.seen[200] - rotation.seen[NO_ANSWER]
    print(
        f"\nby {way}: {len(way_there) - 1} steps there and {len(way_back)} back;"
        f" {rotation.seen[200]} requests with keys and tokens served, {refused} refused;"
        f" {rotation.made} sign-ins with a second factor over both servers, 0 refused;"
        f" {len(rotation.keys)} keys"
    )
    assert refused == 0
