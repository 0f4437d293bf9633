"""Subsidy programs, and the checks that prove capacity."""

from collections.abc import Iterator

from gondwana.sdk.pages import every, segment
from gondwana.sdk.transport import Transport
from gondwana.wire.subsidies import (
    CapacityCheckRequest,
    ClawbackRequest,
    ClawbackView,
    SubsidyRequest,
    SubsidyView,
)


class Subsidies:
    """Programs that bring scarce machines in."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, program: SubsidyRequest) -> SubsidyView:
        """The program, running from now on (operator)."""
        return self._transport.write("POST", "/v1/subsidies", program).decode(SubsidyView)

    def list(self) -> Iterator[SubsidyView]:
        """All programs."""
        return every(self._transport, "/v1/subsidies", SubsidyView)

    def get(self, program: str) -> SubsidyView:
        """One program."""
        return self._transport.get(f"/v1/subsidies/{segment(program)}").decode(SubsidyView)

    def stop(self, program: str) -> SubsidyView:
        """The program, giving no more after its last whole epoch (operator)."""
        path = f"/v1/subsidies/{segment(program)}/stop"
        return self._transport.write("POST", path).decode(SubsidyView)

    def claw_back(self, request: ClawbackRequest) -> ClawbackView:
        """What was taken back of what an owner was given and did not own yet (operator)."""
        return self._transport.write("POST", "/v1/clawbacks", request).decode(ClawbackView)

    def record_check(self, check: CapacityCheckRequest) -> CapacityCheckRequest:
        """Record what a challenge of all machines of a class at one instant found (operator)."""
        answer = self._transport.write("POST", "/v1/capacity-checks", check)
        return answer.decode(CapacityCheckRequest)
