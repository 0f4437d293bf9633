"""Payments that come in: each change is one transaction of the row, its entry in the books, and its event."""

from collections.abc import Sequence
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import GondwanaError, InvalidValue, NoSuchThing, WrongState
from gondwana.core.events import Event
from gondwana.core.ids import new_id
from gondwana.core.random import Random
from gondwana.core.values import replace
from gondwana.db.many import read_keys
from gondwana.db.rows import from_row, from_rows, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.ledger import inbox, rules
from gondwana.ledger.accounts import tenant_available
from gondwana.ledger.deposit_codes import codes_in, new_code
from gondwana.ledger.inbox import SQL
from gondwana.ledger.model import Entry
from gondwana.ledger.payments import (
    DEPOSIT_TRANSITIONS,
    Deposit,
    DepositState,
    Imported,
    Outcome,
    check_amount,
    check_rail_name,
    check_text,
    refused,
)
from gondwana.ledger.payouts import NEWEST, freeze_account
from gondwana.ledger.rails import IncomingPayment
from gondwana.ledger.store import balance, event_key, post

EXPECTED_LOOKED_AT: Final = 100  # of one amount on one rail: more are told apart by an operator


def add_deposit(
    tx: Transaction, random: Random, now: Instant, *, rail: str, tenant_id: str | None, amount_micro_usd: int,
    reference: str = "", sender: str = "", paid_on: str = "", expected: bool = False,
) -> Deposit:  # fmt: skip
    """A payment as it is first told: confirmed at once, or expected; unclear where `tenant_id` is None."""
    check_amount(amount_micro_usd)
    check_rail_name(rail)
    if tenant_id is None and expected:
        raise InvalidValue(field="principal", value="", hint="say whose deposit is expected")
    state = DepositState.EXPECTED if expected else DepositState.CONFIRMED
    made = Deposit(
        id=new_id("dep", now, random),
        rail=rail,
        reference=check_text(reference, field="reference"),
        amount_micro_usd=amount_micro_usd,
        tenant_id=tenant_id,
        state=DepositState.UNCLEAR if tenant_id is None else state,
        sender=check_text(sender, field="sender"),
        paid_on=paid_on,
        made_at=now,
        changed_at=now,
    )
    post(tx, _first_entry(made), now)
    return _save(tx, now, made)


def confirm_deposit(tx: Transaction, now: Instant, deposit_id: str) -> Deposit:
    """The expected deposit came: it is the tenant's to spend. Raises NoSuchThing, WrongState."""
    found = deposit(tx, deposit_id)
    moved = _moved(found, now, DepositState.CONFIRMED)
    entry = rules.confirm_deposit(found.rail, _tenant(found), found.amount_micro_usd, key=found.id)
    post(tx, entry, now)
    return _save(tx, now, moved)


def void_deposit(tx: Transaction, now: Instant, deposit_id: str, *, reason: str) -> Deposit:
    """The expected deposit will not come. Raises as `confirm_deposit`."""
    found = deposit(tx, deposit_id)
    moved = _moved(found, now, DepositState.VOID, reason=check_text(reason, field="reason"))
    post(tx, rules.void_deposit(found.rail, _tenant(found), found.amount_micro_usd, key=found.id), now)  # fmt: skip
    return _save(tx, now, moved)


def clear_deposit(tx: Transaction, now: Instant, deposit_id: str, *, tenant_id: str) -> Deposit:
    """The unclear payment is this tenant's. Raises as `confirm_deposit`."""
    found = deposit(tx, deposit_id)
    moved = _moved(found, now, DepositState.CLEARED, tenant_id=tenant_id)
    post(tx, rules.clear_deposit(found.rail, tenant_id, found.amount_micro_usd, key=found.id), now)
    return _save(tx, now, moved)


def return_deposit(tx: Transaction, now: Instant, deposit_id: str, *, reason: str) -> Deposit:
    """The unclear payment went back to its sender. Raises as `confirm_deposit`."""
    found = deposit(tx, deposit_id)
    moved = _moved(found, now, DepositState.RETURNED, reason=check_text(reason, field="reason"))
    post(tx, rules.return_deposit(found.rail, found.amount_micro_usd, key=found.id), now)
    return _save(tx, now, moved)


def charge_back(tx: Transaction, now: Instant, deposit_id: str, *, reason: str) -> Deposit:
    """The sender took the deposit back: its tenant's money pays, the operator the rest, and the account is frozen.

    Payouts of his that still wait are taken back first, so that they pay too. Raises as `confirm_deposit`.
    """
    found = deposit(tx, deposit_id)
    if not check_text(reason, field="reason"):
        raise InvalidValue(field="reason", value="", hint="say why: the tenant reads it")
    moved = _moved(found, now, DepositState.CHARGED_BACK, reason=reason)
    tenant_id = _tenant(found)
    mirrors = [event_key(f"correction:{entry}") for entry in _entries(found)]
    if read_keys(tx, SQL.events_posted, mirrors):
        raise WrongState(f"{found.id} was corrected: nothing of it is left to charge back.")
    freeze_account(tx, now, tenant_id, reason=f"a deposit was charged back ({found.id})")
    entry = rules.chargeback(
        found.rail,
        tenant_id,
        found.amount_micro_usd,
        balance(tx, tenant_available(tenant_id)),
        key=found.id,
        reason=reason,
    )
    post(tx, entry, now)
    return _save(tx, now, moved)


def was_charged_back(reader: Reader, tenant_id: str, entry: str) -> bool:
    """Whether an entry, by its key in hexadecimal, brought in a deposit of the tenant that was charged back."""
    rows = reader.all(SQL.charged_back_of, {"tenant_id": tenant_id})
    return any(entry in _entries(from_row(Deposit, row)) for row in rows)


def apply_payments(
    tx: Transaction, random: Random, now: Instant, rail: str, payments: Sequence[IncomingPayment]
) -> list[Imported]:
    """What became of each payment that a rail told; one told before changes nothing, a wrong one stops no other."""
    found: list[Imported] = []
    for payment in payments:
        try:
            with tx.savepoint():
                found.append(_apply(tx, random, now, rail, payment))
        except GondwanaError as error:
            found.append(refused(payment.line, payment.id, error))
    return found


def code_of(tx: Transaction, random: Random, now: Instant, tenant_id: str) -> str:
    """A tenant's deposit code, as stored; made when it is first asked for, and for ever."""
    row = tx.one(SQL.code_of, {"tenant_id": tenant_id})
    while row is None:  # again where another tenant has just this code: 1 in 10^13
        made = {"tenant_id": tenant_id, "code": new_code(random), "made_at": now}
        tx.execute(SQL.insert_code, made)
        row = tx.one(SQL.code_of, {"tenant_id": tenant_id})
    return str(row["code"])


def deposit(reader: Reader, deposit_id: str) -> Deposit:
    """One deposit; raises NoSuchThing."""
    row = reader.one(SQL.deposit, {"id": deposit_id})
    if row is None:
        raise NoSuchThing(deposit=deposit_id[:80], hint="gondwana treasury deposits list")
    return from_row(Deposit, row)


def deposits(
    reader: Reader, *, state: str = "", before: str = NEWEST, limit: int = 200
) -> list[Deposit]:
    """Everybody's deposits, newest first; with `state` those in it."""
    params = {"state": state, "before": before, "limit": limit}
    return from_rows(Deposit, reader.all(SQL.deposits, params))


def deposits_of(
    reader: Reader, tenant_id: str, *, before: str = NEWEST, limit: int = 200
) -> list[Deposit]:
    """One tenant's deposits, newest first."""
    params = {"tenant_id": tenant_id, "before": before, "limit": limit}
    return from_rows(Deposit, reader.all(SQL.deposits_of, params))


def _apply(
    tx: Transaction, random: Random, now: Instant, rail: str, payment: IncomingPayment
) -> Imported:
    told = [payment.reference, payment.amount_micro_usd, payment.paid_on, payment.sender]
    reference = f"deposit/{payment.id}"
    known = inbox.told_before(tx, rail, reference, told)
    if known is not None:
        return Imported(line=payment.line, outcome=Outcome.REPEATED, subject=known)
    tenants = _holders_of_codes(tx, payment.reference)
    expected = _expected(tx, rail, payment, tenants)
    if expected is not None:
        made = confirm_deposit(tx, now, expected.id)
    else:
        made = add_deposit(
            tx,
            random,
            now,
            rail=rail,
            tenant_id=tenants[0] if len(tenants) == 1 else None,  # two codes: somebody has to look
            amount_micro_usd=payment.amount_micro_usd,
            reference=payment.reference,
            sender=payment.sender,
            paid_on=payment.paid_on,
        )
    inbox.take_in(tx, now, rail, reference, told, subject=made.id)
    return Imported(
        line=payment.line, outcome=Outcome.APPLIED, subject=made.id, detail=made.state.value
    )


def _holders_of_codes(reader: Reader, text: str) -> list[str]:
    rows = [reader.one(SQL.holder_of_code, {"code": code}) for code in codes_in(text)]
    return list(dict.fromkeys(str(row["tenant_id"]) for row in rows if row is not None))


def _expected(
    reader: Reader, rail: str, payment: IncomingPayment, tenants: Sequence[str]
) -> Deposit | None:
    """The oldest deposit that was expected and is this payment: same amount, and same reference or same tenant."""
    params = {
        "rail": rail,
        "amount_micro_usd": payment.amount_micro_usd,
        "limit": EXPECTED_LOOKED_AT,
    }
    for row in reader.all(SQL.expected, params):
        found = from_row(Deposit, row)
        same_text = bool(found.reference) and found.reference == payment.reference
        if [found.tenant_id] == list(tenants) or (same_text and not tenants):
            return found
    return None


def _first_entry(made: Deposit) -> Entry:
    if made.tenant_id is None:
        return rules.unclear_deposit(
            made.rail, made.amount_micro_usd, reference=made.reference, key=made.id
        )
    return rules.deposit(
        made.rail,
        made.tenant_id,
        made.amount_micro_usd,
        key=made.id,
        pending=made.state is DepositState.EXPECTED,
    )


def _entries(found: Deposit) -> list[str]:
    """The entries that may have brought a deposit into its tenant's balance, by their keys in hexadecimal."""
    ids = (
        f"deposit:{found.tenant_id}:{found.id}",
        f"deposit.confirm:{found.tenant_id}:{found.id}",
        f"deposit.clear:{found.rail}:{found.id}",
    )
    return [event_key(event_id).hex() for event_id in ids]


def _tenant(found: Deposit) -> str:
    assert found.tenant_id is not None, "only an unclear deposit is nobody's"
    return found.tenant_id


def _moved(found: Deposit, now: Instant, to: DepositState, **changes: str) -> Deposit:
    if to not in DEPOSIT_TRANSITIONS[found.state]:
        raise WrongState(
            f"{found.id} is {found.state}: it cannot become {to}.",
            hint="gondwana treasury deposits list",
        )
    return replace(found, state=to, changed_at=now, **changes)  # pyright: ignore[reportArgumentType]


def _save(tx: Transaction, now: Instant, made: Deposit) -> Deposit:
    tx.execute(SQL.save_deposit, to_row(made))
    data = {
        "tenant_id": made.tenant_id,
        "amount_micro_usd": made.amount_micro_usd,
        "rail": made.rail,
        "reference": made.reference,
        "reason": made.reason,
    }
    tx.emit(Event(at=now, kind=f"deposit.{made.state}", subject=made.id, data=data))
    return made
