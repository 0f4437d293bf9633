"""What was promised of a lease and credited, and how the insurance fund stands."""

from gondwana.sdk.pages import segment
from gondwana.sdk.transport import Transport
from gondwana.wire.service import LeaseServiceView, SolvencyView


class Service:
    """Leases' service and what stands behind it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def lease(self, lease_id: str) -> LeaseServiceView:
        """What was promised, proven and credited of a lease of the caller's, with the evidence of each credit."""
        path = f"/v1/leases/{segment(lease_id)}/service"
        return self._transport.get(path).decode(LeaseServiceView)

    def solvency(self) -> SolvencyView:
        """How the insurance fund stands; needs no token."""
        return self._transport.get("/v1/ledger/solvency").decode(SolvencyView)
