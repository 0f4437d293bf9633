"""What keeps an open order from the machines it lacks, in words: a quota, its turn, or the price it would pay."""

from collections.abc import Sequence

from gondwana.core.devices import CPU
from gondwana.core.ids import OrderId
from gondwana.core.money import format_usd
from gondwana.core.units import format_clock, format_instant
from gondwana.db.transaction import Reader
from gondwana.jobs import spot as jobs_spot
from gondwana.jobs.quotas import Limits, blocking, why_waiting
from gondwana.market import store as market
from gondwana.market.calendar import store as calendar
from gondwana.market.calendar.model import BookingState
from gondwana.market.model import Mechanism, Order, OrderState
from gondwana.market.spot import store as spot
from gondwana.market.spot.model import Call
from gondwana.market.where import filter_of
from gondwana.wire.auctions import WINDOW_SECONDS_MAX


def waits_for(reader: Reader, order_id: OrderId | None) -> str:
    """What an open order waits for: a quota, or machines and how it would get them; empty where it lacks none."""
    order = None if order_id is None else market.order(reader, order_id)
    if order is None or order.state is not OrderState.OPEN:
        return ""
    held = market.held_by(market.leases_of_job(reader, order.job_id), order.id)
    if held >= order.count_min:
        return ""
    booked = [] if order.starts_at is None else calendar.of_job(reader, order.job_id)
    if any(each.state is BookingState.BOOKED for each in booked):
        return f"its start, {format_instant(booked[0].starts_at)} UTC"
    return why_waiting(reader, order) or _machines(reader, order, order.count_min - held)


def _machines(reader: Reader, order: Order, lacking: int) -> str:
    machines = "a machine" if lacking == 1 else f"{lacking} machines"
    if order.mechanism is Mechanism.POSTED:
        return f"{machines}: gondwana queue"
    how = "on spot" if order.mechanism is Mechanism.SPOT else "at auction"
    return f"{machines} {how}: {_by_price(reader, [order])[order.id]}"


def by_price(reader: Reader, orders: Sequence[Order]) -> dict[OrderId, str]:
    """What each of these orders, on spot or at auction, waits for: a quota, or a price."""
    limits = Limits.read(reader, orders)
    prices = _by_price(reader, orders)
    return {
        each.id: blocking(each, limits.quotas.get(each.tenant_id, ()), limits.holdings)
        or prices[each.id]
        for each in orders
    }


def _by_price(reader: Reader, orders: Sequence[Order]) -> dict[OrderId, str]:
    is_spot = any(each.mechanism is Mechanism.SPOT for each in orders)
    calls = spot.last_calls(reader) if is_spot else []
    seconds = jobs_spot.settings(reader).call_seconds
    return {
        each.id: f"{_on_spot(each, calls)}; called every {seconds} s"
        if each.mechanism is Mechanism.SPOT
        else _at_auction(each)
        for each in orders
    }


def _on_spot(order: Order, calls: Sequence[Call]) -> str:
    """By the prices of the last calls, the lowest first: which call an order was sent to is kept nowhere."""
    cap = order.price_cap_micro_usd_per_device_hour or 0
    call = next((each for each in calls if _is_wanted(order, each)), None)
    if call is None:
        return f"too few are free at its cap of {format_usd(cap)} or less"
    price = f"{call.model} in {call.region} is at {format_usd(call.price)}"
    if call.price > cap:
        return f"{price}, above its cap of {format_usd(cap)}"
    return f"outbid, or too few are free: {price}, its cap is {format_usd(cap)}"


def _is_wanted(order: Order, call: Call) -> bool:
    """Whether an order wants machines of that model in that region, as far as its filter names regions."""
    names = {each.name for each in order.resources.accelerators}
    is_model = not names or call.model in names or ("" in names and call.model != CPU)
    terms = [each for each in filter_of(order).terms if each.field == "region"]
    return is_model and all(each.holds()(call.region) for each in terms)


def _at_auction(order: Order) -> str:
    assert order.closes_at is not None
    closes = f"closes at {format_clock(order.closes_at)} UTC"
    if order.closes_at - order.created_at <= WINDOW_SECONDS_MAX:
        return closes
    cap = format_usd(order.price_cap_micro_usd_per_device_hour or 0)
    return f"open again, for too few were offered at its cap of {cap} or less; {closes}"
