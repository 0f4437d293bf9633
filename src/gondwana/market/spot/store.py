"""Spot orders, leases and calls, loaded and saved."""

from collections.abc import Iterable, Sequence
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.events import Event
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, from_rows, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.market import store as market
from gondwana.market.book import Key
from gondwana.market.model import Lease, LeaseState, Order
from gondwana.market.spot import rules
from gondwana.market.spot.model import Call, Past
from gondwana.wire.spot import SpotSettings

SQL: Final = load_queries("gondwana.market.spot", "spot.sql")
ORDERS_PAGE: Final = 10_000  # read at once; a call looks at all
LEASES_MAX: Final = 100_000
CALLS_MAX: Final = 1_000  # of one bucket, or of all of a minute, read at once
KEPT_SECONDS: Final = 7 * 86_400  # a call a minute and bucket: so long that one sees a week


def open_orders(reader: Reader) -> list[Order]:
    """The spot orders that want machines, oldest first."""
    found: list[Order] = []
    after = {"created_at": 0.0, "id": "", "limit": ORDERS_PAGE}
    while rows := reader.all(SQL.orders, after):
        found += from_rows(Order, rows)
        after |= {"created_at": rows[-1]["created_at"], "id": rows[-1]["id"]}
    return found


def is_wanted(reader: Reader) -> bool:
    """Whether anybody wants or runs something on spot."""
    return reader.one(SQL.is_wanted) is not None


def running(reader: Reader) -> list[tuple[Order, list[Lease]]]:
    """The orders that have spot leases, oldest first, each with these; those that had their notice too."""
    leases: dict[str, list[Lease]] = {}
    rows = reader.all(SQL.leases, {"limit": LEASES_MAX})
    for row in sorted(rows, key=lambda row: str(row["id"])):  # the oldest first
        leases.setdefault(row["order_id"], []).append(from_row(Lease, row))
    if not leases:
        return []
    orders = reader.all(SQL.orders_of_leases, {"limit": LEASES_MAX})
    return [(from_row(Order, row), leases[row["id"]]) for row in orders if row["id"] in leases]


def reprice(tx: Transaction, now: Instant, prices: Sequence[tuple[str, int]]) -> int:
    """Let each lease pay its new price from its next proven second on; how many were changed.

    One that has this price already, was given notice or is closed stays as it is.
    """
    new = dict(prices)
    changed = 0
    for lease in market.leases(tx, list(new)):
        priced = rules.repriced(lease, new[lease.id])
        if priced is lease or lease.state is not LeaseState.ACTIVE:
            continue
        changed += tx.execute(SQL.reprice, to_row(priced))
        data = {"price_micro_usd_per_hour": priced.price_micro_usd_per_hour,
                "before_micro_usd_per_hour": lease.price_micro_usd_per_hour}  # fmt: skip
        tx.emit(Event(at=now, kind="lease.repriced", subject=lease.id, job_id=lease.job_id, data=data))  # fmt: skip
    return changed


def is_due(reader: Reader, now: Instant, settings: SpotSettings) -> bool:
    """Whether no call was made yet in this minute (or what the operator made of it)."""
    row = reader.one(SQL.called_at)
    return row is None or rules.minute(row["called_at"], settings) != rules.minute(now, settings)


def record(tx: Transaction, now: Instant, settings: SpotSettings, calls: Sequence[Call]) -> bool:
    """Store what the calls of this minute came to, and forget the oldest; False where somebody made them already."""
    if not is_due(tx, now, settings):
        return False
    tx.execute(SQL.called, {"at": now})
    for call in calls:
        tx.execute(SQL.add_call, to_row(call))
    tx.execute(SQL.forget, {"before": now - KEPT_SECONDS})
    return True


def past(reader: Reader, keys: Iterable[Key], now: Instant, settings: SpotSettings) -> dict[Key, Past]:  # fmt: skip
    """The prices that bound the next one of each bucket."""
    found: dict[Key, Past] = {}
    for key in keys:
        place = {"model": key.model, "region": key.region}
        begin = now - settings.move_seconds
        traded = reader.one(SQL.last_trade, {**place, "after": now - settings.memory_seconds - 1.0})
        before = reader.one(SQL.in_force, {**place, "at": begin})
        rows = [row for row in (traded, before) if row is not None and row["at"] <= begin]
        rows.sort(key=lambda row: row["at"])
        rows += reader.all(SQL.calls, {**place, "after": begin, "limit": CALLS_MAX})
        calls = from_rows(Call, rows)
        found[key] = rules.remembered(calls, settings, now)
    return found


def last_call(reader: Reader, key: Key, *, at: Instant, since: Instant) -> Call | None:
    """A bucket's last call until `at`; None where it had none since then."""
    row = reader.one(SQL.in_force, {"model": key.model, "region": key.region, "at": at})
    return None if row is None or row["at"] < since else from_row(Call, row)


def last_calls(reader: Reader) -> list[Call]:
    """What the last calls came to, the lowest price first; buckets that had none are left out."""
    return from_rows(Call, reader.all(SQL.last_calls, {"limit": CALLS_MAX}))


def history(reader: Reader, key: Key, *, after: Instant, limit: int) -> list[Call]:
    """A bucket's calls after an instant, oldest first."""
    given = {"model": key.model, "region": key.region, "after": after, "limit": limit}
    return from_rows(Call, reader.all(SQL.calls, given))
