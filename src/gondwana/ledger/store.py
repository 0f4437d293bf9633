"""The books in the database: post entries, read balances and statements."""

import hashlib
import json
import sqlite3
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import Conflict, FundsTooLow, InvalidValue, NoSuchThing, WrongState
from gondwana.core.events import Event
from gondwana.core.money import format_usd
from gondwana.db.queries import load_queries
from gondwana.db.transaction import Reader, Row, Transaction
from gondwana.ledger.accounts import AccountName, Limit, kind_of
from gondwana.ledger.model import Balance, Entry, Leg, Posted, StatementLine, TransferKind, leg_id

SQL: Final = load_queries("gondwana.ledger")
STATEMENT_LINES_MAX: Final = 500  # one page
SEQ_MAX: Final = 2**63 - 1


def post(tx: Transaction, entry: Entry, now: Instant) -> Posted:
    """Post all legs of an entry, or none; the same event again changes nothing and returns the same.

    Raises FundsTooLow (an account would pass its limit), Conflict (the event was posted with other content),
    WrongState (a hold is already paid or released), NoSuchThing (no such hold). `tx` may go on after any of them.
    """
    ids = tuple(leg_id(entry.event_id, number) for number in range(len(entry.legs)))
    if not entry.legs:
        return Posted(event_id=entry.event_id, transfer_ids=())
    content = digest(entry)
    found = tx.one(SQL.entry_of_event, (entry.event_id,))
    if found is not None:
        if found["digest"] != content:
            raise Conflict(f"The event {entry.event_id} was already posted with other content.")
        return Posted(event_id=entry.event_id, transfer_ids=ids, repeated=True)
    try:
        with tx.savepoint():
            _insert(tx, entry, content, now)
    except sqlite3.IntegrityError as error:
        raise _refusal(tx, entry, error) from error
    tx.emit(
        Event(
            at=now,
            kind="ledger.posted",
            subject=entry.event_id,
            job_id=entry.job_id,
            data={"entry": entry.kind, "micro_usd": entry.total_micro_usd()},
        )
    )
    return Posted(event_id=entry.event_id, transfer_ids=ids)


def balance(reader: Reader, account: AccountName) -> Balance:
    """The counters of an account; all zero when nothing was ever posted to it."""
    kind_of(account)
    row = reader.one(SQL.account, {"name": account})
    return Balance() if row is None else _balance(row)


def statement(
    reader: Reader, account: AccountName, *, before: int = SEQ_MAX, limit: int = 100
) -> list[StatementLine]:
    """The transfers of an account numbered below `before`, newest first, at most `limit`."""
    kind_of(account)
    with reader.snapshot():
        row = reader.one(SQL.account, {"name": account})
        if row is None:
            return []
        params = {"account": row["id"], "before": before}
        limit = min(limit, STATEMENT_LINES_MAX)
        transfers = reader.all(SQL.transfers_of_account, {**params, "limit": limit})
        later = reader.one(SQL.change_since, {"account": row["id"], "since": before})
    available = _balance(row).available_micro_usd - (later["change"] if later else 0)
    lines: list[StatementLine] = []
    for transfer in transfers:
        lines.append(_line(transfer, available))
        available -= lines[-1].change_micro_usd
    return lines


def digest(entry: Entry) -> bytes:
    """16 bytes that tell whether two entries of the same event have the same content."""
    legs = [
        [leg.debit, leg.credit, leg.amount_micro_usd, leg.kind.value, leg.pending_id]
        for leg in entry.legs
    ]
    content = [
        entry.event_id, entry.kind, entry.reason, entry.job_id, entry.lease_id, entry.unit_id, legs,
    ]  # fmt: skip
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).digest()


def _insert(tx: Transaction, entry: Entry, content: bytes, now: Instant) -> None:
    seq = tx.insert(SQL.insert_entry, (entry.event_id, entry.kind, entry.reason, entry.job_id, entry.lease_id,
                                       entry.unit_id, content, now))  # fmt: skip
    ids: dict[str, int] = {}
    for number, leg in enumerate(entry.legs):
        for name in (leg.debit, leg.credit):
            if name not in ids:
                ids[name] = _account_id(tx, name)
        pending = None if leg.pending_id is None else _transfer_seq(tx, leg.pending_id)
        row = (seq, number, ids[leg.debit], ids[leg.credit], leg.amount_micro_usd, leg.kind.value, pending)  # fmt: skip
        tx.insert(SQL.insert_transfer, row)


def _account_id(tx: Transaction, name: AccountName) -> int:
    """The row of an account, which is opened at its first use."""
    row = tx.one(SQL.account_id, (name,))
    if row is not None:
        return int(row["id"])
    kind = kind_of(name)
    return tx.insert(SQL.insert_account, (name, kind.code, kind.limit.value))


def _transfer_seq(tx: Transaction, transfer_id: str) -> int:
    event_id, _, number = transfer_id.rpartition("#")
    row = tx.one(SQL.transfer_seq, {"event_id": event_id, "leg": int(number)})
    if row is None:
        raise NoSuchThing(f"Nothing is held under {transfer_id}.")
    return int(row["seq"])


def _refusal(tx: Transaction, entry: Entry, error: sqlite3.IntegrityError) -> Exception:
    """What the database's refusal means to the caller; a refusal that we caused ourselves stays as it is."""
    match str(error):
        case "ledger.limit":
            return _funds_too_low(tx, entry)
        case "ledger.resolved":
            return WrongState(f"A hold that {entry.event_id} needs is already paid or released.")
        case "ledger.no_such_hold":
            return WrongState(f"{entry.event_id} does not fit the hold it is to pay or release.")
        case "ledger.overflow":
            return InvalidValue(field="amount", hint="no account can hold this much")
        case _:
            return error


def _funds_too_low(tx: Transaction, entry: Entry) -> FundsTooLow:
    left: dict[AccountName, int] = {}
    for leg in entry.legs:
        for name, side in ((leg.debit, Limit.DEBITS), (leg.credit, Limit.CREDITS)):
            if kind_of(name).limit is not side:
                continue
            if name not in left:
                left[name] = _room(balance(tx, name), side)
            if left[name] < leg.amount_micro_usd:
                return FundsTooLow(
                    f"{kind_of(name).explains.capitalize()} ({name}) has {format_usd(left[name])}, "
                    f"but {entry.kind} needs {format_usd(leg.amount_micro_usd)}.",
                    hint="add money first: gondwana account deposit",
                    account=name,
                )
            left[name] -= leg.amount_micro_usd
    return FundsTooLow(account=entry.legs[0].debit)


def _room(found: Balance, side: Limit) -> int:
    if side is Limit.DEBITS:
        return found.available_micro_usd
    return found.debits_posted - found.credits_posted - found.credits_pending


def _balance(row: Row) -> Balance:
    return Balance(
        debits_posted=row["debits_posted"],
        credits_posted=row["credits_posted"],
        debits_pending=row["debits_pending"],
        credits_pending=row["credits_pending"],
    )


def _line(row: Row, available: int) -> StatementLine:
    kind, is_debit, amount = TransferKind(row["kind"]), bool(row["is_debit"]), int(row["amount"])
    other = AccountName(row["other_account"])
    return StatementLine(
        seq=row["seq"],
        at=row["at"],
        transfer_id=leg_id(row["event_id"], row["leg"]),
        event_id=row["event_id"],
        entry_kind=row["entry_kind"],
        transfer_kind=kind,
        other_account=other,
        amount_micro_usd=amount,
        change_micro_usd=_change(kind, is_debit, amount, int(row["held"])),
        available_micro_usd=available,
        text=_text(kind, is_debit, row["reason"], kind_of(other).explains),
        job_id=row["job_id"],
        lease_id=row["lease_id"],
        unit_id=row["unit_id"],
    )


def _change(kind: TransferKind, is_debit: bool, amount: int, held: int) -> int:
    """By how much a transfer changes what is available in the account on this side of it."""
    if not is_debit:
        return amount if kind in (TransferKind.POST, TransferKind.POST_PENDING) else 0
    match kind:
        case TransferKind.POST | TransferKind.PENDING:
            return -amount
        case TransferKind.POST_PENDING:
            return held - amount
        case TransferKind.VOID_PENDING:
            return amount


def _text(kind: TransferKind, is_debit: bool, reason: str, other: str) -> str:
    direction = "to" if is_debit else "from"
    match kind:
        case TransferKind.POST:
            return f"{reason} ({direction} {other})"
        case TransferKind.PENDING:
            held = "held for" if is_debit else "expected from"
            return f"{reason} ({held} {other})"
        case TransferKind.POST_PENDING:
            return f"{reason} ({direction} {other}, as held)"
        case TransferKind.VOID_PENDING:
            return f"{reason} (hold released)"


def entry_of(row: Row, legs: tuple[Leg, ...]) -> Entry:
    """The entry in a row, with its legs."""
    return Entry(
        event_id=row["event_id"],
        kind=row["kind"],
        reason=row["reason"],
        legs=legs,
        job_id=row["job_id"],
        lease_id=row["lease_id"],
        unit_id=row["unit_id"],
    )
