"""Payouts: each change is one transaction of the row, its entry in the books, and its event."""

from collections.abc import Sequence
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import (
    Exhausted,
    FundsTooLow,
    GondwanaError,
    InvalidValue,
    NoSuchThing,
    WrongState,
)
from gondwana.core.events import Event
from gondwana.core.ids import new_id
from gondwana.core.money import format_usd
from gondwana.core.random import Random
from gondwana.core.values import replace
from gondwana.db.rows import from_row, from_rows, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.ledger import frozen, inbox, rules
from gondwana.ledger.accounts import ext
from gondwana.ledger.inbox import SQL
from gondwana.ledger.payments import (
    PAYABLE_FROM,
    PAYOUT_TRANSITIONS,
    Batch,
    Destination,
    Imported,
    Outcome,
    Payout,
    PayoutSettings,
    PayoutState,
    check_amount,
    check_destination,
    check_text,
    mask,
    refused,
)
from gondwana.ledger.rails import PayoutOrder, PayoutResult, ResultStatus, rail_named
from gondwana.ledger.settings import setting
from gondwana.ledger.store import balance, post

LIVE_MAX: Final = 20  # payouts of one principal that have not ended; each is somebody's work
BATCH_MAX: Final = (
    1_000  # payouts handed over together: one transaction, one file that a bank takes
)
NEWEST: Final = "~"  # sorts behind every id: the first page


def set_destination(
    tx: Transaction, now: Instant, principal_id: str, *, rail: str, destination: str, holder: str
) -> Destination:
    """Where a person's payouts go from now on; those under way keep theirs. `rail` "" is the network's usual one.

    Raises InvalidValue, without repeating the destination.
    """
    rails = setting(tx, "payouts", PayoutSettings).rails
    if not rails:
        raise WrongState("This network pays nothing out.", hint="ask the operator")
    if rail and rail not in rails:
        raise InvalidValue(field="rail", value=rail[:80], hint=f"one of: {', '.join(rails)}")
    destination, holder = check_destination(destination, holder)
    made = Destination(
        principal_id=principal_id,
        rail=rail or rails[0],
        destination=destination,
        holder=holder,
        changed_at=now,
    )
    tx.execute(SQL.save_destination, to_row(made))
    data = {"rail": made.rail, "destination": mask(destination)}
    tx.emit(Event(at=now, kind="payout.destination_changed", subject=principal_id, data=data))
    return made


def destination_of(reader: Reader, principal_id: str) -> Destination:
    """Where a person's payouts go; raises NoSuchThing."""
    row = reader.one(SQL.destination, {"principal_id": principal_id})
    if row is None:
        raise NoSuchThing(
            "No destination for payouts is known.",
            hint='gondwana payout destination IBAN --holder "NAME"',
        )
    return from_row(Destination, row)


def request(
    tx: Transaction, random: Random, now: Instant, principal_id: str, *, source: str, amount_micro_usd: int | None
) -> Payout:  # fmt: skip
    """A payout from one of a person's accounts (PAYABLE_FROM), all of it for None: held now, sent by the operator.

    Raises AccountFrozen, NoSuchThing (no destination), InvalidValue (less than a payout is worth), FundsTooLow.
    """
    frozen.check_not_frozen(tx, principal_id)
    if source not in PAYABLE_FROM:
        hint = f"one of: {', '.join(PAYABLE_FROM)}"
        raise InvalidValue(field="account", value=source[:80], hint=hint)
    to, limits = destination_of(tx, principal_id), setting(tx, "payouts", PayoutSettings)
    if to.rail not in limits.rails:
        hint = f"name another: gondwana payout destination … --rail {(*limits.rails, 'RAIL')[0]}"
        raise WrongState(f"This network no longer pays out over {to.rail}.", hint=hint)
    if len(live_of(tx, principal_id)) >= LIVE_MAX:
        raise Exhausted(f"{LIVE_MAX} of your payouts are under way", hint="wait for them")
    account = PAYABLE_FROM[source](principal_id)
    available = balance(tx, account).available_micro_usd
    amount = available if amount_micro_usd is None else check_amount(amount_micro_usd)
    _check_worth(amount, available, limits)
    _check_rail(tx, to.rail, amount)
    made = Payout(
        id=new_id("pay", now, random),
        principal_id=principal_id,
        account=account,
        rail=to.rail,
        destination=to.destination,
        holder=to.holder,
        amount_micro_usd=amount,
        state=PayoutState.REQUESTED,
        requested_at=now,
    )
    post(tx, rules.payout(made.rail, account, amount, key=made.id), now)
    _save(tx, now, made)
    tx.execute(SQL.put_out, {"payout_id": made.id, "rail": made.rail, "at": now})
    return made


def send(
    tx: Transaction, random: Random, now: Instant, rail: str, *, ids: Sequence[str] = ()
) -> Batch | None:
    """A batch of the payouts that wait for a rail, or of those named: the rail has them now. None when none waits.

    Raises WrongState for a named one that does not wait for this rail.
    """
    rail_named(rail)
    waiting = {each.id: each for each in from_rows(Payout, tx.all(SQL.waiting, _waiting(rail)))}
    for payout_id in ids:
        if payout_id not in waiting:
            found = payout(tx, payout_id)
            raise WrongState(
                f"{payout_id} is {found.state}, over {found.rail}: it does not wait for {rail}."
            )
    chosen = [waiting[payout_id] for payout_id in dict.fromkeys(ids)] or list(waiting.values())
    if not chosen:
        return None
    batch = Batch(id=new_id("bat", now, random), rail=rail, made_at=now)
    tx.execute(SQL.insert_batch, to_row(batch))
    for each in chosen:
        tx.execute(SQL.take_out, {"payout_id": each.id})
        _move(tx, now, each, PayoutState.SENT, batch_id=batch.id, sent_at=now)
    return batch


def confirm(tx: Transaction, now: Instant, payout_id: str, *, reference: str) -> Payout:
    """The payout arrived; `reference` is the rail's own. Raises NoSuchThing, WrongState."""
    found = payout(tx, payout_id)
    check_text(reference, field="reference")
    moved = _move(tx, now, found, PayoutState.CONFIRMED, reference=reference, ended_at=now)
    entry = rules.confirm_payout(found.rail, found.account, found.amount_micro_usd, key=found.id)
    post(tx, entry, now)
    return moved


def fail(
    tx: Transaction, now: Instant, payout_id: str, *, reason: str, reference: str = ""
) -> Payout:
    """The payout did not arrive, or is not to be sent: the money is its owner's at once. Raises as `confirm`."""
    found = payout(tx, payout_id)
    check_text(reference, field="reference")
    if not check_text(reason, field="reason"):
        raise InvalidValue(field="reason", value="", hint="say why: its owner reads it")
    told = {"reason": reason, "reference": reference, "ended_at": now}
    moved = _move(tx, now, found, PayoutState.FAILED, **told)
    entry = rules.fail_payout(
        found.rail, found.account, found.amount_micro_usd, key=found.id, reason=reason
    )
    post(tx, entry, now)
    tx.execute(SQL.take_out, {"payout_id": found.id})
    return moved


def apply_results(
    tx: Transaction, now: Instant, rail: str, results: Sequence[PayoutResult]
) -> list[Imported]:
    """What became of each line that a rail told; a line told before changes nothing, a wrong one stops no other."""
    found: list[Imported] = []
    for result in results:
        try:
            with tx.savepoint():
                outcome = _apply(tx, now, rail, result)
            found.append(Imported(line=result.line, outcome=outcome, subject=result.payout_id))
        except GondwanaError as error:
            found.append(refused(result.line, result.payout_id, error))
    return found


def freeze_account(tx: Transaction, now: Instant, principal_id: str, *, reason: str) -> None:
    """Nothing more goes out of a principal's accounts: payouts that still wait are taken back."""
    check_text(reason, field="reason")
    for each in live_of(tx, principal_id):
        if each.state is PayoutState.REQUESTED:
            fail(tx, now, each.id, reason="the account was frozen")
    frozen.freeze(tx, now, principal_id, reason)


def payout(reader: Reader, payout_id: str) -> Payout:
    """One payout; raises NoSuchThing."""
    row = reader.one(SQL.payout, {"id": payout_id})
    if row is None:
        raise NoSuchThing(payout=payout_id[:80], hint="gondwana payout list")
    return from_row(Payout, row)


def payouts(
    reader: Reader, *, state: str = "", before: str = NEWEST, limit: int = 200
) -> list[Payout]:
    """Everybody's payouts, newest first; with `state` those in it."""
    params = {"state": state, "before": before, "limit": limit}
    return from_rows(Payout, reader.all(SQL.payouts, params))


def payouts_of(
    reader: Reader, principal_id: str, *, before: str = NEWEST, limit: int = 200
) -> list[Payout]:
    """One principal's payouts, newest first."""
    params = {"principal_id": principal_id, "before": before, "limit": limit}
    return from_rows(Payout, reader.all(SQL.payouts_of, params))


def live_of(reader: Reader, principal_id: str) -> list[Payout]:
    """One principal's payouts that have not ended, oldest first."""
    params = {"principal_id": principal_id, "limit": LIVE_MAX}
    return from_rows(Payout, reader.all(SQL.live_payouts_of, params))


def batch_of(reader: Reader, batch_id: str) -> tuple[Batch, list[Payout]]:
    """One batch and its payouts as they stand now; raises NoSuchThing."""
    row = reader.one(SQL.batch, {"id": batch_id})
    if row is None:
        raise NoSuchThing(batch=batch_id[:80], hint="gondwana treasury payouts list")
    batch = from_row(Batch, row)
    rows = reader.all(SQL.payouts_of_batch, {"batch_id": batch.id})
    return batch, from_rows(Payout, rows)


def file_of(batch: Batch, payouts: Sequence[Payout]) -> str:
    """What a rail is sent to pay a batch: the same file, however often it is asked for."""
    orders = [
        PayoutOrder(
            id=each.id,
            holder=each.holder,
            destination=each.destination,
            amount_micro_usd=each.amount_micro_usd,
        )
        for each in payouts
    ]
    return rail_named(batch.rail).submit(orders)


def _apply(tx: Transaction, now: Instant, rail: str, result: PayoutResult) -> Outcome:
    told = [result.payout_id, result.status, result.reference]
    reference = f"payout/{result.reference or f'{result.payout_id}/{result.status}'}"
    if inbox.told_before(tx, rail, reference, told) is not None:
        return Outcome.REPEATED
    found = payout(tx, result.payout_id)
    if found.rail != rail:
        raise WrongState(f"{found.id} went over {found.rail}, not {rail}.")
    if found.state is PayoutState.REQUESTED:
        raise WrongState(f"{found.id} was not handed to {rail} yet.")
    if result.status is ResultStatus.CONFIRMED:
        confirm(tx, now, found.id, reference=result.reference)
    else:
        fail(tx, now, found.id, reason=result.reason, reference=result.reference)
    inbox.take_in(tx, now, rail, reference, told, subject=found.id)
    return Outcome.APPLIED


def _move(tx: Transaction, now: Instant, found: Payout, to: PayoutState, **changes: object) -> Payout:  # fmt: skip
    if to not in PAYOUT_TRANSITIONS[found.state]:
        raise WrongState(
            f"{found.id} is {found.state}: it cannot become {to}.", hint=_hint(found, to)
        )
    moved = replace(found, state=to, **changes)  # pyright: ignore[reportArgumentType]
    _save(tx, now, moved)
    return moved


def _hint(found: Payout, to: PayoutState) -> str:
    if found.state is PayoutState.REQUESTED and to is PayoutState.CONFIRMED:
        return f"first: gondwana treasury payouts send {found.id}"
    return f"gondwana treasury payouts show {found.id}"


def _save(tx: Transaction, now: Instant, made: Payout) -> None:
    tx.execute(SQL.save_payout, to_row(made))
    data = {
        "principal_id": made.principal_id,
        "amount_micro_usd": made.amount_micro_usd,
        "rail": made.rail,
        "reason": made.reason,
    }
    tx.emit(Event(at=now, kind=f"payout.{made.state}", subject=made.id, data=data))


def _check_worth(amount: int, available: int, limits: PayoutSettings) -> None:
    if amount > available:
        raise FundsTooLow(
            f"The account has {format_usd(available, decimals=6)}, the payout needs {format_usd(amount, decimals=6)}.",
            hint="gondwana account balance",
        )
    if amount < limits.micro_usd_min:
        least = format_usd(limits.micro_usd_min)
        raise InvalidValue(
            f"A payout is at least {least}, so that its cost stays small.",
            field="amount_micro_usd",
            value=amount,
            hint="wait until more has come together",
        )


def _check_rail(reader: Reader, rail: str, amount: int) -> None:
    """Raise FundsTooLow where the rail took in less than is to go out: its own account would refuse it, less kindly."""
    held = balance(reader, ext(rail))
    if held.debits_posted - held.credits_posted - held.credits_pending < amount:
        raise FundsTooLow(
            f"The network holds too little on {rail} for this payout now.",
            hint="ask the operator to bring money there: gondwana treasury deposit",
        )


def _waiting(rail: str) -> dict[str, object]:
    return {"rail": rail, "limit": BATCH_MAX}
