"""What can be leased, and what the market asks: offers one by one, then depth by model and region, and its history."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from gondwana.api import views
from gondwana.api.deps import LIMIT_MAX, CallerDep, PlaneDep, ReaderDep, page
from gondwana.core.clock import Instant
from gondwana.core.devices import canonical_device
from gondwana.core.errors import InvalidValue
from gondwana.db.transaction import Reader
from gondwana.market import ticks
from gondwana.market.book import Key
from gondwana.market.calendar import store as calendar
from gondwana.market.filters import parse_filter
from gondwana.market.prices import FIGURES, Bucket, Tick, buckets
from gondwana.market.sorting import page_of, parse_sorting
from gondwana.market.spot import store as spot
from gondwana.market.spot.model import Call
from gondwana.wire.prices import DepthStep, PriceTickView, PriceView
from gondwana.wire.spot import SpotCallView
from gondwana.wire.views import OfferView

DAY_SECONDS = 86_400.0
SPOT_SECONDS = 600.0  # a spot price that is older holds no more
SEPARATOR = "/"  # of a cursor; in no region

router = APIRouter(prefix="/v1", tags=["market"])
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX)]


@router.get("/offers", response_model=list[OfferView])
def offers(
    caller: CallerDep, plane: PlaneDep, reader: ReaderDep, where: str = "", sort: str = "", cursor: str = "",
    limit: Limit = LIMIT_MAX,
) -> Response:  # fmt: skip
    """What can be leased now and fits the filter `where`, cheapest per measured speed first, or by the field `sort`."""
    now = plane.clock.now()
    fits, sorting = parse_filter(where).predicate(now), parse_sorting(sort)
    standing = (each for each in plane.context.shelf.listings(reader) if each.is_open)
    found, after = page_of(standing, fits, sorting, cursor=cursor, limit=limit)
    bookings = calendar.booked_on(reader, [each.machine_id for each in found])
    return page(
        [views.offer_view(each, now, bookings.get(each.machine_id, ())) for each in found], after
    )


@router.get("/prices", response_model=list[PriceView])
def prices(
    caller: CallerDep, plane: PlaneDep, reader: ReaderDep, where: str = "", cursor: str = "",
    limit: Limit = LIMIT_MAX,
) -> Response:  # fmt: skip
    """Per device model and region, of machines that fit the filter: devices, rentable and leased, and their prices."""
    fits = parse_filter(where).predicate(plane.clock.now())
    standing = buckets(filter(fits, plane.context.shelf.listings(reader)))
    left = [bucket for bucket in standing if not cursor or _place(bucket) > _told(cursor)]
    after = SEPARATOR.join(_place(left[limit - 1])[::-1]) if len(left) > limit else None
    now = plane.clock.now()
    found = [_price_view(bucket, _spot(reader, bucket, now)) for bucket in left[:limit]]
    return page(found, after)


@router.get("/prices/history", response_model=list[PriceTickView])
def history(
    model: str, region: str, caller: CallerDep, plane: PlaneDep, reader: ReaderDep,
    since: Annotated[float | None, Query(ge=0, allow_inf_nan=False)] = None, cursor: str = "",
    limit: Limit = LIMIT_MAX,
) -> Response:  # fmt: skip
    """How a model in a region stood at `since` (a day ago by default), then each change, oldest first; kept 90 days."""
    begin = Instant(plane.clock.now() - DAY_SECONDS if since is None else since)
    found = ticks.history(
        reader, canonical_device(model), region, since=begin, after=_after(cursor), limit=limit
    )
    return page([_tick_view(tick) for tick in found], repr(found[-1].at) if len(found) == limit else None)  # fmt: skip


@router.get("/prices/spot", response_model=list[SpotCallView])
def spot_calls(
    model: str, region: str, caller: CallerDep, plane: PlaneDep, reader: ReaderDep,
    since: Annotated[float | None, Query(ge=0, allow_inf_nan=False)] = None, cursor: str = "",
    limit: Limit = LIMIT_MAX,
) -> Response:  # fmt: skip
    """The spot calls of a model in a region since then (a day ago by default), oldest first; kept a week."""
    begin = Instant(plane.clock.now() - DAY_SECONDS if since is None else since)
    key = Key(canonical_device(model), region)
    found = spot.history(reader, key, after=_after(cursor) or begin, limit=limit)
    return page([_call_view(call) for call in found], repr(found[-1].at) if len(found) == limit else None)  # fmt: skip


def _spot(reader: Reader, bucket: Bucket, now: Instant) -> int | None:
    since = Instant(now - SPOT_SECONDS)
    call = spot.last_call(reader, Key(bucket.model, bucket.region), at=now, since=since)
    return None if call is None else call.price


def _call_view(call: Call) -> SpotCallView:
    return SpotCallView(
        model=call.model, region=call.region, at=call.at, price_micro_usd=call.price, bids=call.bids, asks=call.asks,
        traded=call.traded, evicted=call.evicted,
    )  # fmt: skip


def _place(bucket: Bucket) -> tuple[str, str]:
    return bucket.model, bucket.region


def _told(cursor: str) -> tuple[str, str]:
    region, separator, model = cursor.partition(SEPARATOR)
    if not separator:
        raise InvalidValue(field="cursor", value=cursor[:60], hint="begin again without a cursor")
    return model, region


def _after(cursor: str) -> Instant | None:
    try:
        return Instant(float(cursor)) if cursor else None
    except ValueError:
        raise InvalidValue(
            field="cursor", value=cursor[:60], hint="begin again without a cursor"
        ) from None


def _price_view(bucket: Bucket, spot_micro_usd: int | None) -> PriceView:
    depth = tuple(
        DepthStep(
            price_micro_usd_per_device_hour=step.price_micro_usd_per_device_hour,
            devices=step.devices,
        )
        for step in bucket.depth
    )
    return PriceView(
        model=bucket.model, region=bucket.region, depth=depth, spot_micro_usd=spot_micro_usd, **_figures(bucket),
    )  # fmt: skip


def _tick_view(tick: Tick) -> PriceTickView:
    return PriceTickView(at=tick.at, **_figures(tick))


def _figures(of: Bucket | Tick) -> dict[str, Any]:
    """Counts under their names, prices with their unit."""
    return {
        name.replace("_", "_micro_usd_") if name.startswith(("ask", "work")) else name: getattr(of, name)
        for name in FIGURES
    }  # fmt: skip
