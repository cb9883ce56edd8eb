"""Two servers rotate by the documented steps and refuse nobody. All of them: test_proof_rings."""

import pytest

from fluxiq.tests.backstage import Backstage
from fluxiq.tests.rotation import Rotation, steps, values
from fluxiq.tests.two_servers import two_servers

pytestmark = pytest.mark.engine


def test_a_new_entry_comes_to_the_front_on_one_server_after_the_other() -> None:
    first, second, third, _ = steps()
    with (
        two_servers(values(second), values(first, sealed_by_both=False)) as servers,
        Backstage(servers[0].service.environment) as backstage,
    ):
        rotation = Rotation(servers, backstage)
        rotation.begin()  # one server at the first step, the other at the second
        servers[1].take(values(second), "HUP")
        rotation.go(third, "HUP")
        rotation.prove_trail()
