"""The market: what can be leased now, what it costs, what it cost before."""

from collections.abc import Iterator

from gondwana.sdk.pages import every
from gondwana.sdk.transport import Transport
from gondwana.wire.prices import PriceTickView, PriceView
from gondwana.wire.spot import SpotCallView
from gondwana.wire.views import OfferView


class Offers:
    """What the market sells now."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, where: str = "", sort: str = "") -> Iterator[OfferView]:
        """Open offers that fit `model=H100 price<=2.50`, by a field (`price`, `-steps`) or cheapest per work first.

        Raises InvalidValue for what cannot be read, with what to write instead.
        """
        return every(
            self._transport, "/v1/offers", OfferView, where=where or None, sort=sort or None
        )


class Prices:
    """What the market holds and asks by device model and region: counts and prices, never whose."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, where: str = "") -> Iterator[PriceView]:
        """Every model and region now, of the machines that fit the filter."""
        return every(self._transport, "/v1/prices", PriceView, where=where or None)

    def spot(
        self, model: str, region: str, *, since: float | None = None
    ) -> Iterator[SpotCallView]:
        """The spot calls since then (a day ago by default), oldest first; kept a week."""
        return every(
            self._transport,
            "/v1/prices/spot",
            SpotCallView,
            model=model,
            region=region,
            since=since,
        )

    def history(
        self, model: str, region: str, *, since: float | None = None
    ) -> Iterator[PriceTickView]:
        """How it stood at `since` (seconds since 1970; a day ago by default), then each change, oldest first."""
        return every(
            self._transport,
            "/v1/prices/history",
            PriceTickView,
            model=model,
            region=region,
            since=since,
        )
