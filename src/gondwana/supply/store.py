"""Machines and offers, loaded and saved. Every change of state writes its event and follows the offer along."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from gondwana.core.clock import Instant
from gondwana.core.decoding import from_json
from gondwana.core.errors import NoSuchThing, WrongState
from gondwana.core.events import Event
from gondwana.core.ids import MachineId, OfferId, PrincipalId
from gondwana.core.values import replace
from gondwana.db.ahead import ahead
from gondwana.db.conditional import expect_state
from gondwana.db.dialect import Dialect
from gondwana.db.many import of_keys, read_keys, read_tuples, read_values
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, from_rows, to_row
from gondwana.db.together import Asked, both
from gondwana.db.transaction import Reader, Row, Transaction
from gondwana.ledger.service import SlaClass
from gondwana.supply import rules, tags
from gondwana.supply.model import Machine, MachineState, Offer, OfferState, SignedTag, Supply, Trust
from gondwana.wire.calendar import Discount

SQL: Final = load_queries("gondwana.supply")
ROWS_MAX: Final = 10_000  # machines read at once
_JSON: Final = msgspec.json.Encoder()


def machine(reader: Reader, id: str) -> Machine:
    """One machine; raises NoSuchThing."""
    row = reader.one(SQL.machine_by_id, {"id": id})
    if row is None:
        raise NoSuchThing(machine=id, hint="gondwana provider list")
    return from_row(Machine, row)


def machines_by_id(reader: Reader, ids: Sequence[str]) -> dict[str, Machine]:
    """These machines; those that do not exist are left out."""
    return {each.id: each for each in read_values(reader, Machine, SQL.machines_by_id, ids)}


def machine_of(reader: Reader, owner_id: PrincipalId, name_or_id: str) -> Machine:
    """An owner's machine by name or id; raises NoSuchThing."""
    row = reader.one(SQL.machine_by_name, {"owner_id": owner_id, "name": name_or_id})
    found = from_row(Machine, row) if row else machine(reader, name_or_id)
    if found.owner_id != owner_id:
        raise NoSuchThing(machine=name_or_id, hint="gondwana provider list")
    return found


def machines(
    reader: Reader, owner_id: PrincipalId | None, *, after: str = "", limit: int = ROWS_MAX
) -> list[Machine]:
    """Machines of one owner, or of all."""
    rows = reader.all(SQL.machines, {"owner_id": owner_id, "after": after, "limit": limit})
    return from_rows(Machine, rows)


def register(tx: Transaction, new: Machine, offer: Offer, now: Instant) -> Machine:
    """Store a joining machine and its offer; the same key joining again is the same machine with new terms.

    Raises WrongState when the name is taken by another key, or the machine left for good.
    """
    row = tx.one(SQL.machine_by_key, {"public_key": new.public_key})
    if row is None:
        if tx.one(SQL.machine_by_name, {"owner_id": new.owner_id, "name": new.name}) is not None:
            raise WrongState(
                f"you have another machine named '{new.name}'", hint="choose one with --name"
            )
        tx.execute(SQL.save_machine, to_row(new))
        tx.execute(SQL.save_offer, to_row(offer))
        _emit(tx, new, now, "machine.joined", {"region": new.region})
        return new
    known = from_row(Machine, row)
    if known.owner_id != new.owner_id or known.name != new.name:
        raise WrongState(
            f"this machine's key joined before as '{known.name}'",
            hint=f"use --name {known.name}, or another --state",
        )
    if known.state is MachineState.LEFT:
        raise WrongState(
            f"machine '{known.name}' left for good",
            hint="join with another --state folder and --name",
        )
    current = replace(known, devices=new.devices, cpus_max=new.cpus_max, memory_bytes_max=new.memory_bytes_max,
                      region=new.region, country=new.country, sla=new.sla)  # fmt: skip
    tx.execute(SQL.save_machine, to_row(current))
    old = offer_of(tx, known.id)
    kept = old if tx.one(SQL.is_priced, {"machine_id": known.id}) else offer
    price = kept.price_micro_usd_per_device_hour  # a policy's price is not the one typed at joining
    tx.execute(SQL.save_offer, to_row(replace(old, price_micro_usd_per_device_hour=price)))
    _emit(tx, current, now, "machine.rejoined", {"region": current.region})
    return current


def offer_of(reader: Reader, machine_id: MachineId) -> Offer:
    """What a machine sells."""
    row = reader.one(SQL.offer_of_machine, {"machine_id": machine_id})
    assert row is not None, "a machine and its offer are stored together"
    return from_row(Offer, row)


def set_price(
    tx: Transaction,
    now: Instant,
    target: Machine,
    price_micro_usd_per_device_hour: int,
    *,
    reason: str = "",
) -> None:
    """Sell at this price from the next lease on; `reason`: why, where no person typed it."""
    offer = offer_of(tx, target.id)
    price = price_micro_usd_per_device_hour
    tx.execute(SQL.save_offer, to_row(replace(offer, price_micro_usd_per_device_hour=price)))
    told: dict[str, Any] = {"price_micro_usd_per_device_hour": price}
    _emit(tx, target, now, "offer.priced", {**told, "reason": reason} if reason else told)


def set_notice(tx: Transaction, now: Instant, target: Machine, notice_seconds: int) -> None:
    """Promise, from the next lease on, to say so long before the machine is taken back."""
    offer = offer_of(tx, target.id)
    tx.execute(SQL.save_offer, to_row(replace(offer, notice_seconds=notice_seconds)))
    _emit(tx, target, now, "offer.noticed", {"notice_seconds": notice_seconds})


def set_spot_floor(
    tx: Transaction, now: Instant, target: Machine, floor_micro_usd_per_device_hour: int | None
) -> None:
    """Sell on spot at this or more, from the next lease on; None: no more (what runs there has its notice)."""
    offer = offer_of(tx, target.id)
    changed = replace(offer, spot_floor_micro_usd_per_device_hour=floor_micro_usd_per_device_hour)
    tx.execute(SQL.save_offer, to_row(changed))
    told = {"spot_floor_micro_usd_per_device_hour": floor_micro_usd_per_device_hour}
    _emit(tx, target, now, "offer.spot", told)


def set_ahead(
    tx: Transaction, now: Instant, target: Machine, *, reserve_seconds_max: int | None = None,
    discounts: tuple[Discount, ...] | None = None,
) -> None:  # fmt: skip
    """Take reservations that end within so long, give these discounts to long leases: from now on; None: as before."""
    offer = offer_of(tx, target.id)
    ahead = offer.reserve_seconds_max if reserve_seconds_max is None else reserve_seconds_max
    ladder = offer.discounts if discounts is None else discounts
    tx.execute(SQL.save_offer, to_row(replace(offer, reserve_seconds_max=ahead, discounts=ladder)))
    steps = {str(each.seconds): each.basis_points for each in ladder}
    _emit(tx, target, now, "offer.ahead", {"reserve_seconds_max": ahead, "discounts": steps})


def set_sla(tx: Transaction, now: Instant, target: Machine, sla: SlaClass) -> Machine:
    """Promise this from the next lease on."""
    changed = save(tx, replace(target, sla=sla))
    _emit(tx, changed, now, "machine.promised", {"sla": sla})
    return changed


def move(
    tx: Transaction, now: Instant, target: Machine, to: MachineState, reason: str = ""
) -> Machine:
    """The machine in its new state, its offer beside it; raises WrongState where the table has no such arrow."""
    if target.state is to:
        return target
    moved = replace(target, state=rules.move(target, to), reason=reason)
    expect_state(tx, SQL.machine_by_id, target.id, target.state)
    tx.execute(SQL.save_machine, to_row(moved))
    offer = offer_of(tx, target.id)
    tx.execute(SQL.save_offer, to_row(replace(offer, state=rules.offer_state(to))))
    _emit(tx, moved, now, f"machine.{to}", {"reason": reason} if reason else {})
    return moved


def save(tx: Transaction, changed: Machine) -> Machine:
    """Store facts about a machine that are no change of state."""
    tx.execute(SQL.save_machine, to_row(changed))
    return changed


def prove_life(tx: Transaction, machine_id: str, now: Instant) -> None:
    """The machine is alive."""
    tx.execute(SQL.prove_life, {"id": machine_id, "now": now})


def silent(reader: Reader, before: Instant) -> list[Machine]:
    """Serving machines whose last proof of life is older than `before`."""
    return from_rows(Machine, reader.all(SQL.silent_since, {"instant": before, "limit": ROWS_MAX}))


def alive_again(reader: Reader, after: Instant) -> list[Machine]:
    """Machines that are down but proved to be alive after `after`."""
    params = {"instant": after, "stopped": rules.STOPPED, "limit": ROWS_MAX}
    return from_rows(Machine, reader.all(SQL.alive_again, params))


def draining(reader: Reader) -> list[Machine]:
    """Machines that leave once they serve nothing."""
    return from_rows(Machine, reader.all(SQL.draining, {"limit": ROWS_MAX}))


def supply(reader: Reader) -> Iterator[Supply]:
    """Every standing offer with its machine and its free devices; those of machines not measured yet are left out."""
    after = ""
    while rows := reader.all(SQL.supply, {"after": after, "limit": ROWS_MAX}):
        signed = tags.standing_between(reader, rows[0]["id"], rows[-1]["id"])
        yield from _supplies(rows, signed)
        after = rows[-1]["id"]


def numbers(reader: Reader) -> Iterator[tuple[Any, ...]]:
    """The same in the few numbers that a search needs, by the columns of the query."""
    pages = _pages_of_numbers(reader)
    # SQLite lets go of the interpreter at each row: beside a thread that computes it would wait for it each time
    is_far = reader.dialect is Dialect.POSTGRES
    for rows in ahead(pages) if is_far else pages:
        yield from rows


def _pages_of_numbers(reader: Reader) -> Iterator[list[tuple[Any, ...]]]:
    after, found = "", ROWS_MAX
    while found == ROWS_MAX:
        rows = reader.tuples(SQL.numbers, {"after": after, "limit": ROWS_MAX})
        yield rows
        found = len(rows)
        after = rows[-1][0] if rows else ""


def supply_of(reader: Reader, machine_ids: Sequence[str]) -> dict[str, Supply]:
    """The standing offers of machines with their free devices, by machine; those that sell nothing are left out."""
    return supply_of_asked(machine_ids).of(reader)


def supply_of_asked(machine_ids: Sequence[str]) -> Asked[dict[str, Supply]]:
    """The same, not asked yet."""
    return both(
        tags.standing_of_asked(machine_ids),
        of_keys(dict, SQL.supply_of, machine_ids),
        lambda signed, rows: {each.machine.id: each for each in _supplies(rows, signed)},
    )


def held(reader: Reader, machine_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """(epoch, devices that live leases and open bids hold) of each machine; the epoch is its newest lease's, or 0."""
    rows = read_tuples(reader, SQL.held, machine_ids)
    return {machine_id: (int(epoch), int(devices)) for machine_id, epoch, devices in rows}


def owners(reader: Reader, machine_ids: Sequence[str]) -> dict[str, PrincipalId]:
    """Whose these machines are."""
    rows = read_keys(reader, SQL.owners, machine_ids)
    return {row["id"]: PrincipalId(row["owner_id"]) for row in rows}


@functools.lru_cache(maxsize=1_024)
def _discounts(stored: str) -> tuple[Discount, ...]:
    """Most offers have the same ladder, or none."""
    return from_json(stored, tuple[Discount, ...])


def _supplies(rows: Sequence[Row], signed: Mapping[str, Sequence[SignedTag]]) -> Iterator[Supply]:
    for row, each in zip(rows, from_rows(Machine, rows), strict=True):
        yield _supply(row, each, signed.get(each.id, ()))


def _supply(row: Row, each: Machine, signed: Sequence[SignedTag]) -> Supply:
    offer = Offer(
        id=OfferId(row["offer_id"]),
        machine_id=each.id,
        state=OfferState(row["offer_state"]),
        price_micro_usd_per_device_hour=row["price_micro_usd_per_device_hour"],
        notice_seconds=row["notice_seconds"],
        spot_floor_micro_usd_per_device_hour=row["spot_floor_micro_usd_per_device_hour"],
        reserve_seconds_max=row["reserve_seconds_max"],
        discounts=_discounts(row["discounts"]),
    )
    return Supply(
        offer=offer,
        machine=each,
        devices_free=each.devices - int(row["devices_leased"]),
        epoch=int(row["epoch"]),
        tags=tuple(signed),
    )


class Rating(NamedTuple):
    """What a machine's leases say of it."""

    machine_id: str
    reliability: float
    trust: Trust


def rate(tx: Transaction, now: Instant, ratings: Sequence[Rating]) -> int:
    """Store what is said of machines now, with its events; returns how many there are."""
    rated = tx.all(SQL.rate, {"rated": _JSON.encode(ratings).decode()})
    names = {row["id"]: row["name"] for row in rated}
    tx.emit_many([
        Event(at=now, kind="machine.rated", subject=each.machine_id,
              data={"machine": names[each.machine_id], "machine_id": each.machine_id,
                    "reliability": each.reliability, "trust": each.trust})
        for each in ratings if each.machine_id in names
    ])  # fmt: skip
    return len(rated)


def _emit(tx: Transaction, target: Machine, now: Instant, kind: str, data: dict[str, Any]) -> None:
    names = {"machine": target.name, "machine_id": target.id}
    tx.emit(Event(at=now, kind=kind, subject=target.id, data={**names, **data}))


def last_proven(reader: Reader) -> Instant | None:
    """When any machine proved to be alive last; None where none ever did."""
    row = reader.one(SQL.last_proven)
    return None if row is None or row["at"] is None else Instant(row["at"])
