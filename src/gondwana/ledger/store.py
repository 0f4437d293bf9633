"""The books in the database: post entries, read balances."""

import contextlib
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from gondwana.core.clock import Instant
from gondwana.core.errors import Conflict, FundsTooLow, InvalidValue, NoSuchThing, WrongState
from gondwana.core.money import format_usd
from gondwana.db.connection import Read
from gondwana.db.errors import Refused
from gondwana.db.many import of_keys, read_keys
from gondwana.db.queries import load_queries
from gondwana.db.together import Asked, both, of_row
from gondwana.db.transaction import Reader, Row, Transaction
from gondwana.ledger.accounts import AccountName, Limit, kind_of
from gondwana.ledger.model import (
    TRANSFER_CODES,
    TRANSFER_KINDS,
    Balance,
    Entry,
    Leg,
    Posted,
    TransferKind,
    leg_id,
)

SQL: Final = load_queries("gondwana.ledger")
_HINTS: Final = {
    2000: "ask the operator to record a deposit: gondwana account deposit",
    2210: "gondwana provider earnings shows what is payable, and when more is",
    2300: "gondwana stake show",
    3200: "gondwana treasury deposit",
}
"""Line of the chart that lacks money -> what mends it."""

_JSON: Final = msgspec.json.Encoder()

FIRST_VERSION: Final = '["",'  # facts of an entry that a migration made: nothing, then the sentence
ENTRY_COLUMNS: Final = ("seq", "event", "kind", "subject", "job", "legs", "at_ms", "facts")
TRANSFER_COLUMNS: Final = ("seq", "amount", "pending", "debit", "credit", "leg", "kind")


def post(tx: Transaction, entry: Entry, now: Instant) -> Posted:
    """Post all legs of an entry, or none; the same event again changes nothing and returns the same.

    Raises FundsTooLow (an account would pass its limit), Conflict (the event was posted with other content),
    WrongState (a hold is already paid or released), NoSuchThing (no such hold). `tx` may go on after any of them.
    """
    return post_all(tx, [entry], now)[0]


class Books(NamedTuple):
    """What the books have, of what some entries may touch."""

    asked: tuple[frozenset[str], ...]  # events, accounts and names that were looked up
    known: set[bytes]  # keys of the events that were posted
    accounts: dict[str, int]
    names: dict[str, int]
    last_entry: Row | None


def books_asked(
    events: Sequence[str], accounts: Sequence[AccountName], names: Sequence[str]
) -> Asked[Books]:
    """What the books have of these, not asked yet: for `post_all`, where that can go with other questions."""
    asked = (frozenset(events), frozenset(accounts), frozenset(names))
    keys = [event_key(each) for each in events]
    of_events = of_keys(tuple, SQL.entries_of_events, keys).then(
        lambda rows: {event for _, event, _ in rows}
    )
    of_accounts = of_keys(tuple, SQL.account_ids, accounts).then(_by_name)
    of_names = of_keys(tuple, SQL.name_ids, names).then(_by_name)
    entered = both(of_events, of_row(SQL.last_entry), lambda known, last: (known, last))
    named = both(of_accounts, of_names, lambda ids, names: (ids, names))
    return both(entered, named, lambda one, two: Books(asked, one[0], two[0], two[1], one[1]))


def post_all(
    tx: Transaction, entries: Sequence[Entry], now: Instant, *, books: Books | None = None, spoils: bool = False
) -> list[Posted]:  # fmt: skip
    """Post many entries in one statement each for entries and transfers: all of them, or none where one is refused.

    Each is refused as `post` would refuse it after those before it. `books`: as they are now. `spoils`: the caller has
    seen in `tx` that nothing will be; what is all the same is raised as `Transaction.insert_rows` raises it, and `tx`
    cannot go on.
    """
    keys = {entry.event_id: event_key(entry.event_id) for entry in entries if entry.legs}
    if not keys:
        return [_posted(entry, repeated=False) for entry in entries]
    touched = list(keys), _accounts_of(entries), _names_of(entries)
    if books is None or not all(map(frozenset.issuperset, books.asked, touched)):
        books = books_asked(*touched).of(tx)
    fresh: dict[str, Entry] = {}
    posted: list[Posted] = []
    for entry in entries:
        is_new = (
            bool(entry.legs)
            and keys[entry.event_id] not in books.known
            and entry.event_id not in fresh
        )
        if is_new:
            fresh[entry.event_id] = entry
        elif entry.legs:
            _check_same(tx, entry, keys[entry.event_id], fresh.get(entry.event_id))
        posted.append(_posted(entry, repeated=bool(entry.legs) and not is_new))
    if fresh:
        with contextlib.nullcontext() if spoils else _told(tx, list(fresh.values())):
            _insert(tx, list(fresh.values()), keys, books, now)
    return posted


def event_key(event_id: str) -> bytes:
    """16 bytes that stand for an event's id in the database."""
    return blake2b(event_id.encode(), digest_size=16).digest()


def entry_of(reader: Reader, event_id: str) -> Entry | None:
    """The entry of an event as it was posted, or None where it was not.

    Not for an entry that pays or releases holds: of the hold's id only a key is kept. Rebuild it from the hold.
    """
    row = reader.one(SQL.entry_of_event, {"event": event_key(event_id)})
    if row is None:
        return None
    span = {"first": row["seq"], "last": row["seq"] + row["legs"] - 1}
    transfers = reader.all(SQL.named_transfers_between, span)
    assert all(transfer["pending"] is None for transfer in transfers), f"{event_id} resolves a hold"
    legs = tuple(
        Leg(
            debit=AccountName(transfer["debit"]),
            credit=AccountName(transfer["credit"]),
            amount_micro_usd=transfer["amount"],
            kind=TRANSFER_KINDS[transfer["kind"]],
        )
        for transfer in transfers
    )
    return Entry(
        event_id=event_id,
        kind=row["kind"],
        subject=row["subject"],
        legs=legs,
        job_id=row["job"],
        facts=tuple(json.loads(row["facts"])) if row["facts"] else (),
    )


def balance(reader: Reader, account: AccountName) -> Balance:
    """The counters of an account; all zero when nothing was ever posted to it."""
    kind_of(account)
    row = reader.one(SQL.account, {"name": account})
    return Balance() if row is None else to_balance(row)


def balances(reader: Reader, accounts: Sequence[AccountName]) -> dict[AccountName, Balance]:
    """The counters of many accounts."""
    return balances_asked(accounts).of(reader)


def balances_asked(accounts: Sequence[AccountName]) -> Asked[dict[AccountName, Balance]]:
    """The same, not asked yet."""

    def by_name(rows: Sequence[Row]) -> dict[AccountName, Balance]:
        found = {row["name"]: to_balance(row) for row in rows}
        return {name: found.get(name, Balance()) for name in accounts}

    return of_keys(dict, SQL.accounts_named, accounts).then(by_name)


def moved_between(reader: Reader, debit: AccountName, credit: AccountName) -> int:
    """How much was ever posted from one account to another, in all."""
    row = reader.one(SQL.moved_between, {"debit": debit, "credit": credit})
    return int(row["amount"] or 0) if row else 0


def first_seq_at(reader: Reader, at: Instant) -> int:
    """The number of the first transfer made at `at` or later, also of one not made yet.

    Entries are numbered in the order of their times, so this is a search by halves: 40 look-ups in a million million.
    """
    at_ms, newest = round(at * 1000), reader.one(SQL.last_entry)
    if newest is None:
        return 1
    low, high = 1, int(newest["seq"] + newest["legs"])  # every transfer below `low` is earlier
    while low < high:
        row = reader.one(SQL.entry_at_or_before, {"seq": (low + high) // 2})
        assert row is not None, "the first entry is numbered 1"
        if row["at_ms"] < at_ms:
            low = int(row["seq"] + row["legs"])
        else:
            high = int(row["seq"])
    return low


def credited_before(reader: Reader, account: AccountName, at: Instant) -> int:
    """How much was posted into an account before `at`, in all: what was ever posted, less what came since."""
    row = reader.one(SQL.account, {"name": account})
    if row is None:
        return 0
    span = {"account": row["id"], "first": first_seq_at(reader, at)}
    since = reader.one(SQL.credited_since, span)
    return int(row["credits_posted"]) - (int(since["amount"] or 0) if since else 0)


def accounts_of_code(
    reader: Reader, code: int, *, limit: int = 1_000
) -> Iterator[tuple[AccountName, Balance]]:
    """The accounts of one line of the chart that hold something, by name."""
    after = ""
    while rows := reader.all(SQL.accounts_of_code, {"code": code, "after": after, "limit": limit}):
        yield from ((AccountName(row["name"]), to_balance(row)) for row in rows)
        after = rows[-1]["name"]


def to_balance(row: Row) -> Balance:
    """The counters in a row."""
    return Balance(
        debits_posted=row["debits_posted"],
        credits_posted=row["credits_posted"],
        debits_pending=row["debits_pending"],
        credits_pending=row["credits_pending"],
    )


def facts_text(entry: Entry) -> str | None:
    """How an entry's facts are stored."""
    return _JSON.encode(entry.facts).decode() if entry.facts else None


def _posted(entry: Entry, *, repeated: bool) -> Posted:
    ids = tuple(leg_id(entry.event_id, number) for number in range(len(entry.legs)))
    return Posted(event_id=entry.event_id, transfer_ids=ids, repeated=repeated)


def _insert(
    tx: Transaction, entries: Sequence[Entry], keys: Mapping[str, bytes], books: Books, now: Instant
) -> None:  # fmt: skip
    accounts, names = _with_missing(tx, entries, books)
    last = books.last_entry
    first = last["seq"] + last["legs"] if last else 1
    at_ms = max(round(now * 1000), last["at_ms"] if last else 0)  # numbered in time's order
    starts: dict[bytes, tuple[int, int]] = {}
    for entry in entries:
        starts[keys[entry.event_id]] = (first, len(entry.legs))
        first += len(entry.legs)
    holds = _holds(tx, entries, starts)
    tx.insert_rows("ledger_entry", ENTRY_COLUMNS, [
        (starts[keys[entry.event_id]][0], keys[entry.event_id], names[entry.kind], names[entry.subject],
         names[entry.job_id] if entry.job_id else None, len(entry.legs), at_ms, facts_text(entry))
        for entry in entries
    ])  # fmt: skip
    tx.insert_rows("ledger_transfer", TRANSFER_COLUMNS, [
        (starts[keys[entry.event_id]][0] + number, leg.amount_micro_usd, holds.get(leg.pending_id),
         accounts[leg.debit], accounts[leg.credit], number, TRANSFER_CODES[leg.kind])
        for entry in entries for number, leg in enumerate(entry.legs)
    ])  # fmt: skip


@contextlib.contextmanager
def _told(tx: Transaction, entries: Sequence[Entry]) -> Generator[None]:
    """In this block entries are posted: all of them, or it says why not."""
    try:
        with tx.savepoint():
            yield
    except Refused as error:
        raise _refusal(tx, entries, error) from error


def _accounts_of(entries: Sequence[Entry]) -> list[AccountName]:
    """Every account that the entries touch."""
    named = [name for entry in entries for leg in entry.legs for name in (leg.debit, leg.credit)]
    return list(dict.fromkeys(named))


def _names_of(entries: Sequence[Entry]) -> list[str]:
    """Every kind, subject and job that the entries name."""
    named = [
        name for entry in entries for name in (entry.kind, entry.subject, entry.job_id) if name
    ]
    return list(dict.fromkeys(named))


def _by_name(rows: Sequence[tuple[int, str]]) -> dict[str, int]:
    return {name: number for number, name in rows}


def _with_missing(
    tx: Transaction, entries: Sequence[Entry], books: Books
) -> tuple[dict[str, int], dict[str, int]]:
    """The row of every account, and of every name, that the entries need; what is new is written."""
    wanted = [(name, kind_of(name)) for name in _accounts_of(entries) if name not in books.accounts]
    opened = [(name, kind.code, kind.limit.value, kind.asset) for name, kind in wanted]
    added = [name for name in _names_of(entries) if name not in books.names]
    missing = [
        Read(tuple, sql, {of: _JSON.encode(rows).decode()})
        for sql, of, rows in ((SQL.open_accounts, "accounts", opened), (SQL.add_names, "names", added))
        if rows
    ]  # fmt: skip
    written = iter(tx.together(missing))
    accounts = books.accounts | (_by_name(next(written)) if opened else {})
    return accounts, books.names | (_by_name(next(written)) if added else {})


def _holds(
    tx: Transaction, entries: Sequence[Entry], starts: Mapping[bytes, tuple[int, int]]
) -> dict[str | None, int]:
    """The row of every hold that the entries resolve; raises NoSuchThing. `starts`: number and legs of fresh ones."""
    wanted = dict.fromkeys(
        leg.pending_id for entry in entries for leg in entry.legs if leg.pending_id is not None
    )
    if not wanted:
        return {}
    parsed = {
        pending_id: (event_key(event_id), number)
        for pending_id in wanted
        for event_id, _, number in (pending_id.rpartition("#"),)
    }
    keys = dict.fromkeys(key for key, _ in parsed.values())
    rows = read_keys(tx, SQL.entries_of_events, list(keys))
    found = {row["event"]: (int(row["seq"]), int(row["legs"])) for row in rows} | dict(starts)
    holds: dict[str | None, int] = {}
    for pending_id, (key, number) in parsed.items():
        first, count = found.get(key, (0, 0))
        if not number.isdecimal() or int(number) >= count:
            raise NoSuchThing(f"Nothing is held under {pending_id}.")
        holds[pending_id] = first + int(number)
    return holds


def _check_same(tx: Transaction, entry: Entry, key: bytes, twin: Entry | None) -> None:
    """Raise Conflict unless the event was posted with just this content."""
    same = entry == twin if twin is not None else _is_stored(tx, entry, key)
    if not same:
        raise Conflict(f"The event {entry.event_id} was already posted with other content.")


def _is_stored(tx: Transaction, entry: Entry, key: bytes) -> bool:
    """Whether just this was posted; an entry of the first version has a sentence in the place of subject and facts."""
    row = tx.one(SQL.entry_of_event, {"event": key})
    assert row is not None
    moved = (row["kind"], row["job"], _stored_legs(tx, row)) == (
        entry.kind,
        entry.job_id,
        _legs(tx, entry),
    )
    told = (row["subject"], row["facts"]) == (entry.subject, facts_text(entry))
    return moved and (told or str(row["facts"]).startswith(FIRST_VERSION))


_Legs = Sequence[tuple[str, str, int, int, int | None]]


def _legs(tx: Transaction, entry: Entry) -> _Legs:
    holds = _holds(tx, [entry], {})
    return [
        (leg.debit, leg.credit, leg.amount_micro_usd, TRANSFER_CODES[leg.kind], holds.get(leg.pending_id))
        for leg in entry.legs
    ]  # fmt: skip


def _stored_legs(tx: Transaction, entry: Row) -> _Legs:
    span = {"first": entry["seq"], "last": entry["seq"] + entry["legs"] - 1}
    return [
        (leg["debit"], leg["credit"], leg["amount"], leg["kind"], leg["pending"])
        for leg in tx.all(SQL.named_transfers_between, span)
    ]


def _refusal(tx: Transaction, entries: Sequence[Entry], error: Refused) -> Exception:
    """What the database's refusal means to the caller; a refusal that we caused ourselves stays as it is."""
    about = entries[0].event_id if len(entries) == 1 else f"one of {len(entries)} entries"
    for reason, refusal in (
        ("ledger.limit", lambda: _funds_too_low(tx, entries)),
        ("ledger.resolved", lambda: WrongState(f"A hold that {about} needs is already paid or released.")),
        ("ledger.no_such_hold", lambda: WrongState(f"{about} does not fit the hold it is to pay or release.")),
        ("ledger.overflow", lambda: InvalidValue(field="amount", hint="no account can hold this much")),
    ):  # fmt: skip
        if reason in error.reason:
            return refusal()
    return error


def _funds_too_low(tx: Transaction, entries: Sequence[Entry]) -> FundsTooLow:
    left: dict[AccountName, int] = {}
    for entry in entries:
        for leg in entry.legs:
            for name, side, change in _changes(leg):
                if kind_of(name).limit is not side:
                    continue
                if name not in left:
                    left[name] = _room(balance(tx, name), side)
                if left[name] + change < 0:
                    return _too_low(entry, leg, name, left[name])
                left[name] += change
    return FundsTooLow(account=entries[0].legs[0].debit)


def _changes(leg: Leg) -> list[tuple[AccountName, Limit, int]]:
    """By how much a leg changes the room of its accounts, first what takes; as if each hold were paid whole."""
    amount = leg.amount_micro_usd
    takes = [(leg.debit, Limit.DEBITS, -amount), (leg.credit, Limit.CREDITS, -amount)]
    gives = [(leg.credit, Limit.DEBITS, amount), (leg.debit, Limit.CREDITS, amount)]
    match leg.kind:
        case TransferKind.POST:
            return takes + gives
        case TransferKind.PENDING:
            return takes
        case TransferKind.POST_PENDING:
            return gives
        case TransferKind.VOID_PENDING:
            return [(name, side, -change) for name, side, change in takes]


def _too_low(entry: Entry, leg: Leg, name: AccountName, left: int) -> FundsTooLow:
    return FundsTooLow(
        f"{kind_of(name).explains.capitalize()} ({name}) has {format_usd(left)}, "
        f"but {entry.kind} needs {format_usd(leg.amount_micro_usd)}.",
        hint=_HINTS.get(kind_of(name).code),
        account=name,
    )


def _room(found: Balance, side: Limit) -> int:
    if side is Limit.DEBITS:
        return found.available_micro_usd
    return found.debits_posted - found.credits_posted - found.credits_pending
