"""Bids, loaded and saved; every change of state writes its event, which names neither the ask nor the order's job."""

from collections.abc import Iterable, Sequence
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import NoSuchThing, WrongState
from gondwana.core.events import Event
from gondwana.core.ids import OrderId
from gondwana.core.values import replace
from gondwana.db.conditional import expect_state
from gondwana.db.many import read_keys
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, from_rows, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.market.auction.model import BID_TRANSITIONS, Bid, BidReason, BidState
from gondwana.market.model import Order

SQL: Final = load_queries("gondwana.market.auction")
AUCTIONS_MAX: Final = 256  # cleared together; the others in the next pass
BIDS_OVER_MAX: Final = 5_000  # ended in one pass


def bid(reader: Reader, id: str) -> Bid:
    """One bid; raises NoSuchThing."""
    row = reader.one(SQL.bid_by_id, {"id": id})
    if row is None:
        raise NoSuchThing(bid=id, hint="gondwana provider bids")
    return from_row(Bid, row)


def bids_of(reader: Reader, order_ids: Iterable[str]) -> dict[OrderId, list[Bid]]:
    """Every bid for each of these orders, oldest first."""
    found: dict[OrderId, list[Bid]] = {OrderId(each): [] for each in order_ids}
    for row in read_keys(reader, SQL.bids_of_orders, list(found)):
        found[row["order_id"]].append(from_row(Bid, row))
    return found


def bids_of_owner(
    reader: Reader, owner_id: str, *, before: str | None = None, limit: int
) -> list[Bid]:
    """What an owner bid, newest first."""
    params = {"owner_id": owner_id, "before": before, "limit": limit}
    return from_rows(Bid, reader.all(SQL.bids_of_owner, params))


def depths(reader: Reader, order_ids: Sequence[str]) -> dict[str, int]:
    """How many bids each of these orders has had that were not taken back; orders without any are left out."""
    rows = read_keys(reader, SQL.counts_of_orders, order_ids)
    return {row["order_id"]: int(row["bids"]) for row in rows}


def bids_over(reader: Reader, now: Instant) -> list[Bid]:
    """Bids that hold devices for nothing: their time ran out, or their orders want nothing any more."""
    params = {"now": now, "limit": BIDS_OVER_MAX}
    return from_rows(Bid, reader.all(SQL.bids_over, params))


def due(reader: Reader, now: Instant) -> list[Order]:
    """Auctions to clear now, at most AUCTIONS_MAX."""
    rows = reader.all(SQL.due_auctions, {"now": now, "limit": AUCTIONS_MAX})
    return from_rows(Order, rows)


def open_auctions(reader: Reader, now: Instant, *, limit: int) -> list[Order]:
    """Auctions that take bids now."""
    rows = reader.all(SQL.open_auctions, {"now": now, "limit": limit})
    return from_rows(Order, rows)


def auctions_of(
    reader: Reader, tenant_id: str, *, before: str | None = None, limit: int
) -> list[Order]:
    """A tenant's auctions, newest first."""
    params = {"tenant_id": tenant_id, "before": before, "limit": limit}
    return from_rows(Order, reader.all(SQL.auctions_of_tenant, params))


def open_window(tx: Transaction, now: Instant, order: Order, closes_at: Instant) -> None:
    """Take bids for the order until then."""
    tx.execute(SQL.open_window, {"id": order.id, "closes_at": closes_at})
    data = {"closes_at": closes_at}
    tx.emit(Event(at=now, kind="auction.opened", subject=order.id, job_id=order.job_id, data=data))


def add(tx: Transaction, new: Bid) -> None:
    """Store a bid; the devices it names are held from now on."""
    tx.execute(SQL.save_bid, to_row(new))
    _emit(tx, new.created_at, new)


def end(
    tx: Transaction, now: Instant, target: Bid, to: BidState, reason: BidReason, *,
    price_micro_usd_per_device_hour: int | None = None,
) -> Bid:  # fmt: skip
    """The bid in its new state; it holds nothing any more. Raises WrongState where it cannot get there from here."""
    if to not in BID_TRANSITIONS[target.state]:
        raise WrongState(
            f"the bid is {target.state}, it cannot become {to}", hint="gondwana provider bids"
        )
    expect_state(tx, SQL.bid_by_id, target.id, target.state)
    ended = replace(
        target,
        state=to,
        reason=reason,
        ended_at=now,
        price_micro_usd_per_device_hour=price_micro_usd_per_device_hour,
    )
    tx.execute(SQL.save_bid, to_row(ended))
    _emit(tx, now, ended)
    return ended


def _emit(tx: Transaction, now: Instant, subject: Bid) -> None:
    data = {"machine_id": str(subject.machine_id), "order_id": str(subject.order_id)}
    if subject.reason is not None:
        data["reason"] = subject.reason.value
    tx.emit(Event(at=now, kind=f"bid.{subject.state}", subject=subject.id, data=data))
