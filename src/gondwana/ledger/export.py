"""Entries as others read them: every one for the operator, those that touch somebody's accounts for him."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.db.many import read_keys
from gondwana.db.queries import load_queries
from gondwana.db.transaction import Reader, Row
from gondwana.ledger.accounts import AccountName
from gondwana.ledger.events import Fact, words
from gondwana.ledger.model import TRANSFER_KINDS, TransferKind
from gondwana.ledger.periods import personal
from gondwana.ledger.store import SQL

EXPORT: Final = load_queries("gondwana.ledger", "export.sql")
# looked through at once for somebody's entries; grows while nothing is found
WINDOW_TRANSFERS: Final = 20_000
WINDOW_GROWTH: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedLeg:
    """One transfer of an entry, as posted."""

    seq: int
    debit: AccountName
    credit: AccountName
    amount_micro: int
    kind: TransferKind
    pending: int | None  # the transfer whose hold it resolves


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedEntry:
    """One entry, as posted."""

    seq: int  # of its first transfer
    at: Instant
    kind: str
    event: str  # 32 hexadecimal characters
    subject: str
    job_id: str | None
    facts: tuple[Fact, ...]
    text: str
    legs: tuple[PostedLeg, ...]


def all_entries(reader: Reader, *, after: int, limit: int) -> list[PostedEntry]:
    """The entries numbered above `after`, in order, at most `limit`."""
    rows = reader.all(EXPORT.entry_numbers, {"first": after + 1, "limit": limit})
    return _entries(reader, [int(row["seq"]) for row in rows])


def entries_of(reader: Reader, principal_id: str, *, after: int, limit: int) -> list[PostedEntry]:
    """The same of those entries that touch a principal's accounts: his own, and the escrows and bonds he filled."""
    accounts = list(accounts_of(reader, principal_id))
    newest = reader.one(SQL.last_entry)
    end = int(newest["seq"] + newest["legs"]) if newest and accounts else 0
    found: set[int] = set()
    first, window = after + 1, WINDOW_TRANSFERS
    while first < end and len(found) < limit:
        found |= _touching(reader, accounts, first, first + window - 1)
        first, window = first + window, window * WINDOW_GROWTH
    return _entries(reader, sorted(seq for seq in found if seq > after)[:limit])


def touches(reader: Reader, principal_id: str, seq: int) -> bool:
    """Whether the entry of the transfer numbered `seq` touches the principal's accounts."""
    row = reader.one(SQL.entry_at_or_before, {"seq": seq})
    if row is None:
        return False
    own = accounts_of(reader, principal_id)
    span = {"first": row["seq"], "last": row["seq"] + row["legs"] - 1}
    legs = reader.all(SQL.transfers_between, span)
    return any(leg["debit"] in own or leg["credit"] in own for leg in legs)


def accounts_of(reader: Reader, principal_id: str) -> dict[int, str]:
    """The accounts of a principal, by row: his own, and the escrows and bonds that he filled."""
    names = list(personal(principal_id).values())
    own = {row["id"]: row["name"] for row in read_keys(reader, SQL.account_ids, names)}
    filled = read_keys(reader, EXPORT.filled_by, list(own))
    return own | {row["id"]: row["name"] for row in filled}


def _touching(reader: Reader, accounts: Sequence[int], first: int, last: int) -> set[int]:
    return {
        int(row["seq"])
        for query in (EXPORT.entries_out_of, EXPORT.entries_into)
        for row in read_keys(reader, query, accounts, first, last)
    }


def _entries(reader: Reader, numbers: Sequence[int]) -> list[PostedEntry]:
    """The entries of these numbers, with names."""
    rows = [row for number in numbers if (row := reader.one(EXPORT.entry, {"seq": number}))]
    transfers = {
        row["seq"]: reader.all(SQL.transfers_between, {"first": row["seq"], "last": row["seq"] + row["legs"] - 1})
        for row in rows
    }  # fmt: skip
    touched = {
        leg[side] for legs in transfers.values() for leg in legs for side in ("debit", "credit")
    }
    used = {row[part] for row in rows for part in ("kind", "subject", "job")} - {None}
    accounts = {
        row["id"]: row["name"] for row in read_keys(reader, SQL.account_names, list(touched))
    }
    names = {row["id"]: row["name"] for row in read_keys(reader, SQL.name_texts, list(used))}
    return [_entry(row, transfers[row["seq"]], accounts, names) for row in rows]


def _entry(
    row: Row, legs: Sequence[Row], accounts: dict[int, str], names: dict[int, str]
) -> PostedEntry:
    facts: list[Any] = json.loads(row["facts"]) if row["facts"] else []
    kind, subject = names[row["kind"]], names[row["subject"]]
    return PostedEntry(
        seq=int(row["seq"]),
        at=Instant(row["at_ms"] / 1000),
        kind=kind,
        event=bytes(row["event"]).hex(),
        subject=subject,
        job_id=None if row["job"] is None else names[row["job"]],
        facts=tuple(facts),
        text=words(kind, subject, facts),
        legs=tuple(
            PostedLeg(
                seq=int(leg["seq"]),
                debit=AccountName(accounts[leg["debit"]]),
                credit=AccountName(accounts[leg["credit"]]),
                amount_micro=int(leg["amount"]),
                kind=TRANSFER_KINDS[leg["kind"]],
                pending=leg["pending"],
            )
            for leg in legs
        ),
    )
