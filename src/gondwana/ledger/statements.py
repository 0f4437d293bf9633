"""What an account's owner reads: each transfer in words, with the balance after it."""

import json
from typing import Final

from gondwana.core.clock import Instant
from gondwana.db.transaction import Reader, Row
from gondwana.ledger.accounts import AccountName, kind_of
from gondwana.ledger.events import words
from gondwana.ledger.model import TRANSFER_KINDS, StatementLine, TransferKind
from gondwana.ledger.store import SQL, first_seq_at, to_balance

LINES_MAX: Final = 500  # one page
SEQ_MAX: Final = 2**63 - 1
EVER: Final = Instant(0.0)


def statement(
    reader: Reader,
    account: AccountName,
    *,
    before: int = SEQ_MAX,
    limit: int = 100,
    since: Instant = EVER,
    until: Instant | None = None,
) -> list[StatementLine]:
    """The transfers of an account numbered below `before` and made in [since, until), newest first, at most `limit`."""
    kind_of(account)
    with reader.snapshot():
        row = reader.one(SQL.account, {"name": account})
        if row is None:
            return []
        if until is not None:
            before = min(before, first_seq_at(reader, until))
        params = {
            "account": row["id"],
            "before": before,
            "from_seq": first_seq_at(reader, since) if since else 0,
            "limit": min(limit, LINES_MAX),
        }
        transfers = reader.all(SQL.transfers_of_account, params)
        later = reader.one(SQL.change_since, {"account": row["id"], "since": before})
    available = to_balance(row).available_micro_usd - int(later["change"] if later else 0)
    lines: list[StatementLine] = []
    for transfer in transfers:
        lines.append(_line(transfer, available))
        available -= lines[-1].change_micro_usd
    return lines


def balance_at(reader: Reader, account: AccountName, at: Instant) -> int:
    """What was available in an account just before `at`."""
    with reader.snapshot():
        row = reader.one(SQL.account, {"name": account})
        if row is None:
            return 0
        since = {"account": row["id"], "since": first_seq_at(reader, at)}
        later = reader.one(SQL.change_since, since)
    return to_balance(row).available_micro_usd - int(later["change"] if later else 0)


def _line(row: Row, available: int) -> StatementLine:
    kind, is_debit, amount = TRANSFER_KINDS[row["kind"]], bool(row["is_debit"]), int(row["amount"])
    other = AccountName(row["other_account"])
    facts = json.loads(row["facts"]) if row["facts"] else []
    event = row["event"].hex()
    return StatementLine(
        seq=row["seq"],
        at=Instant(row["at_ms"] / 1000),
        transfer_id=f"{event}#{row['leg']}",
        event=event,
        entry_kind=row["entry_kind"],
        transfer_kind=kind,
        other_account=other,
        amount_micro_usd=amount,
        change_micro_usd=_change(kind, is_debit, amount, int(row["held"])),
        available_micro_usd=available,
        text=_text(kind, is_debit, words(row["entry_kind"], row["subject"], facts), kind_of(other).explains),
        subject=row["subject"],
        job_id=row["job"],
    )  # fmt: skip


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
