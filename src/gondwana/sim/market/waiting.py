"""Who waits, and whether he has to: an oracle that looks at every machine for every order, and knows no book."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from gondwana.core.clock import Instant
from gondwana.db.transaction import Reader
from gondwana.ledger.settings import setting
from gondwana.market.keeping import AGED_SECONDS
from gondwana.policy import quotas
from gondwana.policy.model import Quota
from gondwana.sim.market.ahead import booked_machines
from gondwana.sim.market.people import FILTERS
from gondwana.sim.market.watch import FAILURES, NEVER_AGAIN
from gondwana.wire.spot import SpotSettings

PATIENCE_SECONDS: Final = 60.0  # that a job waits for others after a machine failed it
_ORDERS: Final = """
SELECT * FROM market_order WHERE state = 'open' AND starts_at IS NULL ORDER BY created_at, id"""
_LEASES: Final = "SELECT * FROM lease WHERE job_id = :job_id"
_MACHINES: Final = """
SELECT machine.id, machine.region, machine.devices,
    coalesce(json_extract(machine.inventory, '$.accelerators[0].name'), 'CPU') AS model,
    offer.price_micro_usd_per_device_hour AS posted, offer.notice_seconds AS notice,
    offer.spot_floor_micro_usd_per_device_hour AS floor, machine.owner_id AS owner,
    machine.devices
    - coalesce((SELECT sum(devices) FROM lease WHERE machine_id = machine.id AND state <> 'closed'), 0)
    - coalesce((SELECT sum(devices) FROM bid WHERE machine_id = machine.id AND state = 'open'), 0) AS free
FROM machine JOIN offer ON offer.machine_id = machine.id
WHERE machine.state = 'up' AND offer.state = 'open' AND machine.isolation = 'sandbox' ORDER BY machine.id"""
_KEPT: Final = """
SELECT market_hold.machine_id, market_hold.order_id FROM market_hold
JOIN market_order ON market_order.id = market_hold.order_id WHERE market_order.state = 'open'"""
_HELD: Final = """
SELECT lease.tenant_id, market_order.project, lease.job_id, lease.devices,
    coalesce(json_extract(machine.inventory, '$.accelerators[0].name'), 'CPU') AS model
FROM lease JOIN market_order ON market_order.id = lease.order_id JOIN machine ON machine.id = lease.machine_id
WHERE lease.state <> 'closed'"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """All that decides whether an order could be served."""

    now: Instant
    orders: Sequence[Any]
    machines: Sequence[Any]  # of which nothing is promised ahead
    kept: dict[str, str]  # machine -> order
    held: Sequence[Any]
    quotas: dict[str, list[Quota]]
    is_thin: bool  # spot books are: whoever buys there may also have what is not sold on spot

    @classmethod
    def read(cls, reader: Reader, now: Instant) -> "Market":
        """As it is committed."""
        found, booked = reader.all(_ORDERS), booked_machines(reader)
        return cls(
            now=now,
            orders=found,
            machines=[row for row in reader.all(_MACHINES) if row["id"] not in booked],
            kept={row["machine_id"]: row["order_id"] for row in reader.all(_KEPT)},
            held=reader.all(_HELD),
            is_thin=setting(reader, "spot", SpotSettings).sides_min > 1,
            quotas=quotas.quotas_of(reader, {row["tenant_id"] for row in found}),
        )


def could_be_served(reader: Reader, market: Market, order: Any, *, if_free: bool) -> bool:
    """Whether an order would get all that it needs at least, now, or with `if_free` if nothing were leased.

    What is kept for others does not count as free, nor does what a quota might cut a gang by.
    """
    leases = reader.all(_LEASES, {"job_id": order["job_id"]})
    live = [each for each in leases if each["state"] != "closed"]
    held = sum(each["order_id"] == order["id"] and not _leaves(each) for each in live)
    failed = [each for each in leases if each["state"] == "closed" and each["reason"] in FAILURES]
    if not if_free and any(
        market.now - each["closed_at"] < PATIENCE_SECONDS + 1 for each in failed
    ):
        return False
    barred = {each["machine_id"] for each in live} | {
        each["machine_id"] for each in leases if each["reason"] in NEVER_AGAIN
    }
    lacking = max(1, order["count_min"] - held)
    models = _models(order)
    if not if_free and _waits_for_another(market, order):
        return False
    if not _is_allowed(market, order, models, lacking, held=bool(live), if_free=if_free):
        return False
    fitting = [
        each
        for each in market.machines
        if each["id"] not in barred
        and (not models or each["model"] in models)
        and _price(order, each) <= _cap(order)
        and each["notice"] >= order["notice_seconds_min"]
        and FILTERS[order["filters"]](each)
        and (each["devices"] if if_free else each["free"]) >= order["devices"]
        and (if_free or market.kept.get(each["id"], order["id"]) == order["id"])
    ]
    if order["mechanism"] == "spot":
        return _has_book(market, order, fitting, lacking)
    if _is_of_one_model(order, models):
        has = {row["model"] for row in market.held if row["job_id"] == order["job_id"]}
        counts = Counter(each["model"] for each in fitting if not has or each["model"] in has)
        return max(counts.values(), default=0) >= lacking
    return len(fitting) >= lacking


def _is_of_one_model(order: Any, models: set[str]) -> bool:
    """Whether it is a gang for which several models would do."""
    return order["charge"] == "second" and order["count_max"] > 1 and len(models) > 1


def _has_book(market: Market, order: Any, fitting: Sequence[Any], lacking: int) -> bool:
    """Whether one book, of a model in a region, surely serves a spot order: it is sent to one alone.

    Where books have prices of their own these come of devices, whoever needs them: only who needs one, and may have
    the cheapest, is sure of it.
    """
    books = Counter(map(_book, fitting))
    if market.is_thin:
        return max(books.values(), default=0) >= lacking
    if lacking > 1 or order["devices"] > 1:
        return False
    return bool(books) and all(_is_sure(market, book, fitting) for book in books)


def _is_sure(market: Market, book: tuple[str, str], fitting: Sequence[Any]) -> bool:
    """Whether an order that fits some of a book's machines is served there, wherever its price lies."""
    on_spot = [each for each in market.machines if _book(each) == book and each["floor"] is not None]  # fmt: skip
    free = [each for each in on_spot if each["free"] > 0]
    if not on_spot:
        return True
    return bool(free) and min(free, key=lambda each: each["floor"]) in fitting


def _book(machine: Any) -> tuple[str, str]:
    return machine["model"], machine["region"]


def _waits_for_another(market: Market, order: Any) -> bool:
    """Whether a large order of the same account waited so long that what quotas leave may be kept for it.

    Quotas have to allow it what it needs: for what can never be had nothing is kept.
    """
    if order["mechanism"] != "posted":
        return False
    return any(
        each["tenant_id"] == order["tenant_id"]
        and each["id"] != order["id"]
        and each["mechanism"] == "posted"
        and each["count_min"] * each["devices"] > 1
        and market.now - each["created_at"] >= AGED_SECONDS
        and _is_allowed(market, each, _models(each), each["count_min"], held=False, if_free=True)
        for each in market.orders
    )


def _leaves(lease: Any) -> bool:
    return lease["state"] == "reclaiming" and lease["charge"] == "unit"


def _cap(order: Any) -> int:
    cap = order["price_cap_micro_usd_per_device_hour"]
    return 2**62 if cap is None else cap


def _price(order: Any, machine: Any) -> int:
    if order["mechanism"] == "spot" and machine["floor"] is not None:
        return machine["floor"]
    return machine["posted"]


def _models(order: Any) -> set[str]:
    """The models that would do; none where any would."""
    wanted = msgspec.json.decode(order["resources"])["accelerators"]
    names = {each["name"] for each in wanted}
    return set() if "" in names else names


def _is_allowed(
    market: Market, order: Any, models: set[str], lacking: int, *, held: bool, if_free: bool
) -> bool:
    """Whether no quota stands in the way, whichever of the models the order gets."""
    project = order["project"]
    for each in market.quotas.get(order["tenant_id"], ()):
        if each.project not in ("", project):
            continue
        mine = [
            row
            for row in market.held
            if row["tenant_id"] == order["tenant_id"] and each.project in ("", row["project"])
        ]
        if each.jobs_max is not None and not held:
            jobs = 0 if if_free else len({row["job_id"] for row in mine})
            if jobs >= each.jobs_max:
                return False
        if each.devices_max is None or (models and each.model and each.model not in models):
            continue
        devices = (
            0
            if if_free
            else sum(row["devices"] for row in mine if each.model in ("", row["model"]))
        )
        if devices + lacking * order["devices"] > each.devices_max:
            return False
    return True


def overlooked(
    reader: Reader, now: Instant, mechanisms: Sequence[str] = ("posted",)
) -> Iterator[str]:
    """Orders that wait though what they need is free: right after a good pass there is none."""
    market = Market.read(reader, now)
    for order in market.orders:
        if order["mechanism"] in mechanisms and could_be_served(
            reader, market, order, if_free=False
        ):
            yield f"{order['id']} ({order['mechanism']}) waits though machines that fit are free"


def waiting(reader: Reader, now: Instant) -> list[Any]:
    """The posted orders that machines which exist would serve if these were free, oldest first."""
    market = Market.read(reader, now)
    return [
        order
        for order in market.orders
        if order["mechanism"] == "posted" and could_be_served(reader, market, order, if_free=True)
    ]
