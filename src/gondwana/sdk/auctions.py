"""Auctions, and the caller's bids in them."""

from collections.abc import Iterator

from gondwana.sdk.pages import every, segment
from gondwana.sdk.transport import Transport
from gondwana.wire.auctions import AuctionView, BidRequest, BidView


class Auctions:
    """Orders that are auctioned."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, mine: bool = False) -> Iterator[AuctionView]:
        """Those that take bids now, those that close first come first; with `mine` a tenant's own, newest first."""
        return every(self._transport, "/v1/orders", AuctionView, mine=1 if mine else None)

    def get(self, order: str) -> AuctionView:
        """One auction as it stands; to its tenant with what it gave him."""
        return self._transport.get(f"/v1/orders/{segment(order)}").decode(AuctionView)


class Bids:
    """What the caller bids with his machines."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def place(self, order: str, machine: str, ask_micro_usd_per_device_hour: int) -> BidView:
        """The bid; until the auction is cleared it holds the devices of the machine that the order wants.

        Raises WrongState where it is late, InvalidValue above the cap, Conflict for a second one of the machine,
        NothingFits where the machine lacks something.
        """
        told = BidRequest(
            machine=machine, ask_micro_usd_per_device_hour=ask_micro_usd_per_device_hour
        )
        path = f"/v1/orders/{segment(order)}/bids"
        return self._transport.write("POST", path, told).decode(BidView)

    def list(self) -> Iterator[BidView]:
        """The caller's bids, newest first."""
        return every(self._transport, "/v1/bids", BidView)

    def withdraw(self, bid: str) -> BidView:
        """The bid, taken back: its devices are free at once."""
        return self._transport.write("POST", f"/v1/bids/{segment(bid)}/withdraw").decode(BidView)
