"""The caller's own money in and out: payouts, where they go, deposits."""

from collections.abc import Iterator

from gondwana.sdk.pages import every, segment
from gondwana.sdk.transport import Transport
from gondwana.wire.treasury import (
    DepositCodeView,
    DepositView,
    DestinationRequest,
    DestinationView,
    PayoutRequest,
    PayoutView,
)


class Payouts:
    """What the caller is paid."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def destination(self) -> DestinationView:
        """Where payouts go, masked; raises NoSuchThing while nobody said."""
        return self._transport.get("/v1/payouts/destination").decode(DestinationView)

    def set_destination(self, destination: str, *, holder: str, rail: str = "") -> DestinationView:
        """Send payouts there from now on: an account's number and its holder's name."""
        request = DestinationRequest(destination=destination, holder=holder, rail=rail)
        answer = self._transport.write("PUT", "/v1/payouts/destination", request)
        return answer.decode(DestinationView)

    def request(
        self, amount_micro_usd: int | None = None, *, account: str = "payable"
    ) -> PayoutView:
        """A payout of so much, or of all: from "payable", "verifier", "reporter" or a tenant's "available"."""
        request = PayoutRequest(account=account, amount_micro_usd=amount_micro_usd)
        return self._transport.write("POST", "/v1/payouts", request).decode(PayoutView)

    def list(self) -> Iterator[PayoutView]:
        """The caller's payouts, newest first."""
        return every(self._transport, "/v1/payouts", PayoutView)

    def get(self, payout_id: str) -> PayoutView:
        """One payout."""
        return self._transport.get(f"/v1/payouts/{segment(payout_id)}").decode(PayoutView)


class Deposits:
    """What the caller paid in."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def reference(self) -> str:
        """The code to write on a bank transfer, so that it finds the caller's account."""
        answer = self._transport.write("POST", "/v1/deposits/reference")
        return answer.decode(DepositCodeView).code

    def list(self) -> Iterator[DepositView]:
        """The caller's deposits, newest first."""
        return every(self._transport, "/v1/deposits", DepositView)
