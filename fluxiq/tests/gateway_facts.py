"""What holds behind every gateway. Each gateway's own test file derives from `GatewayFacts`."""

from fluxiq.tests.gateway_admission import Admission
from fluxiq.tests.gateway_faults import Faults
from fluxiq.tests.gateway_identity import Identity
from fluxiq.tests.gateway_passage import Passage
from fluxiq.tests.gateway_refusals import Refusals


class GatewayFacts(Admission, Refusals, Identity, Passage, Faults):
    """The facts. A derived class names the gateway, and what it cannot do."""
