"""Pricing policies, loaded and saved; every change of a price is one transaction with its event and its reason."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import WrongState
from gondwana.core.events import Event
from gondwana.core.ids import MachineId
from gondwana.core.values import replace
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.supply import store
from gondwana.supply.model import Machine, OfferState
from gondwana.supply.pricing.rules import Decision
from gondwana.supply.rules import PRICE_MAX_MICRO_USD_PER_DEVICE_HOUR
from gondwana.wire.pricing import ERROR_CHARS_MAX, PolicyKind, PricePolicy, ScriptAnswer

SQL: Final = load_queries("gondwana.supply.pricing", "pricing.sql")
ROWS_MAX: Final = 1_000  # policies read at once; they are all looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A machine's policy as it stands, with what is known of it."""

    machine_id: MachineId
    policy: PricePolicy
    set_at: Instant
    changed_at: Instant  # when the price last moved, or the policy was set
    reason: str = ""  # of that move
    answer: int | None = None  # of the owner's script
    answered_at: Instant | None = None
    answer_error: str = ""


def set_policy(tx: Transaction, now: Instant, target: Machine, policy: PricePolicy) -> Standing:
    """Set a machine's price so from now on; the first move may come at once."""
    earliest = Instant(now - policy.interval_seconds)
    new = Standing(machine_id=target.id, policy=policy, set_at=now, changed_at=earliest)
    tx.execute(SQL.save, to_row(new))
    names = {"machine": target.name, "machine_id": target.id, "policy": policy.kind}
    tx.emit(Event(at=now, kind="offer.policy", subject=target.id, data=names))
    return new


def of_machine(reader: Reader, machine_id: str) -> Standing | None:
    """How a machine's price is set; None where its owner types it."""
    row = reader.one(SQL.of_machine, {"machine_id": machine_id})
    return None if row is None else from_row(Standing, row)


def standing(reader: Reader) -> Iterator[Standing]:
    """Every policy of a machine that has not left."""
    after = ""
    while rows := reader.all(SQL.standing, {"after": after, "limit": ROWS_MAX}):
        yield from (from_row(Standing, row) for row in rows)
        after = rows[-1]["machine_id"]


def forget(tx: Transaction, machine_id: str) -> None:
    """The owner types the price himself from now on."""
    tx.execute(SQL.forget, {"machine_id": machine_id})


def reprice(
    tx: Transaction, now: Instant, seen: Standing, seen_price: int, decision: Decision
) -> bool:
    """Ask the decided price, if policy and price still stand as they were seen; whether it was changed."""
    offer, current = store.offer_of(tx, seen.machine_id), of_machine(tx, seen.machine_id)
    if current is None or current != seen or offer.state is OfferState.WITHDRAWN:
        return False
    if offer.price_micro_usd_per_device_hour != seen_price:
        return False
    machine = store.machine(tx, seen.machine_id)
    price = decision.price_micro_usd_per_device_hour
    store.set_price(tx, now, machine, price, reason=decision.reason)
    tx.execute(SQL.save, to_row(replace(current, changed_at=now, reason=decision.reason)))
    return True


def answer(tx: Transaction, now: Instant, target: Machine, told: ScriptAnswer) -> Standing:
    """Keep what the owner's script said, as far as anybody may ask it; a failure that is news is an event.

    Raises WrongState without a script.
    """
    current = of_machine(tx, target.id)
    if current is None or current.policy.kind is not PolicyKind.SCRIPT:
        raise WrongState(
            f"machine '{target.name}' is not priced by a script",
            hint=f"gondwana provider price {target.name} --policy script --script FILE",
        )
    error, most = told.error[:ERROR_CHARS_MAX], PRICE_MAX_MICRO_USD_PER_DEVICE_HOUR
    price = told.price_micro_usd_per_device_hour
    if not error and price is None:
        error = "it named no price"
    kept = replace(
        current,
        answer=current.answer if error or price is None else min(max(price, -most), most),
        answered_at=current.answered_at if error else now,
        answer_error=error,
    )
    tx.execute(SQL.save, to_row(kept))
    if error and error != current.answer_error:
        data = {"machine": target.name, "machine_id": target.id, "error": error}
        tx.emit(Event(at=now, kind="offer.price_failed", subject=target.id, data=data))
    return kept
