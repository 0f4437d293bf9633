"""Tamper evidence: each commit that posts is sealed into a hash chain, each day ends with a root that is published.

How to check it without us is in `wire.proofs`.
"""

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, NoSuchThing
from gondwana.core.events import Event
from gondwana.db.together import Asked, of_all, of_row, together
from gondwana.db.transaction import Reader, Row, Transaction
from gondwana.ledger.store import ENTRY_COLUMNS, SQL
from gondwana.wire import proofs
from gondwana.wire.proofs import BatchRecord, ChainProof, EntryProof, RootRecord

# of one seal: a backlog (a migrated database) is sealed in pieces
BATCH_TRANSFERS_MAX: Final = 20_000
BATCHES_MAX: Final = 10_000  # of one page of a proof
ROOTS_MAX: Final = 4_000  # of one proof: ten years
BATCH_COLUMNS: Final = ("number", "first", "last", "content", "hash", "at_ms")
MS_PER_DAY: Final = 86_400_000


def seal(tx: Transaction) -> None:
    """Chain what was posted and is not sealed yet; the writer calls this before each commit."""
    if not tx.may_have_new("ledger_entry"):
        return
    new = tx.first_new("ledger_entry")
    guess = int(new[ENTRY_COLUMNS.index("seq")]) if new else 1  # all before it may be sealed
    found, *read = together(
        tx, of_row(SQL.unsealed), *_between(guess, guess + BATCH_TRANSFERS_MAX - 1)
    )
    if found is None:
        return
    number, last = found["number"] or 0, found["last"] or 0
    chained = bytes(found["hash"]) if found["hash"] else proofs.NOTHING
    while last < found["newest"]:
        number, first = number + 1, last + 1
        last = _end_of_piece(tx, last, found["newest"])
        is_read = first == guess and last == found["newest"]
        entries = list(_joined(*read) if is_read else _entries(tx, first, last))
        content = proofs.merkle_root([proofs.leaf_hash(each.leaf) for each in entries])
        at_ms = entries[-1].at_ms
        chained = proofs.batch_hash(chained, number, first, last, at_ms, content)
        tx.insert_rows("ledger_batch", BATCH_COLUMNS, [(number, first, last, content, chained, at_ms)])  # fmt: skip


def _end_of_piece(tx: Transaction, before: int, newest: int) -> int:
    """The last transfer of what is sealed after `before` at once."""
    if newest - before <= BATCH_TRANSFERS_MAX:
        return newest
    row = tx.one(SQL.entry_at_or_before, {"seq": before + BATCH_TRANSFERS_MAX})
    assert row is not None
    return int(row["seq"] + row["legs"] - 1)


def publish_roots(tx: Transaction, now: Instant) -> int:
    """Publish a root for each day that is over and has batches; returns how many."""
    published = 0
    while (root := _next_root(tx, now)) is not None:
        row = {"day": root.day, "first_batch": root.first_batch, "last_batch": root.last_batch,
               "content": bytes.fromhex(root.content), "totals": json.dumps(root.totals),
               "hash": bytes.fromhex(root.hash), "at_ms": round(now * 1000)}  # fmt: skip
        tx.execute(SQL.insert_root, row)
        data = {"hash": root.hash, "batches": root.last_batch - root.first_batch + 1}
        tx.emit(Event(at=now, kind="ledger.root", subject=root.day, data=data))
        published += 1
    return published


def _next_root(tx: Transaction, now: Instant) -> RootRecord | None:
    before = tx.one(SQL.last_root)
    first = tx.one(SQL.batch, {"number": before["last_batch"] + 1 if before else 1})
    if first is None:
        return None
    from_ms = max(
        first["at_ms"], _end_of(before["day"]) if before else 0
    )  # what came late is the next day's
    end_ms = (from_ms // MS_PER_DAY + 1) * MS_PER_DAY
    if now * 1000 < end_ms + SETTLE_MS:
        return None
    last = tx.one(SQL.last_batch_before, {"at_ms": end_ms})
    assert last is not None
    number = int(last["number"])
    span = {"first": first["number"], "last": number}
    content = proofs.merkle_root([bytes(row["hash"]) for row in tx.all(SQL.batch_hashes, span)])
    day = day_of(from_ms)
    sums = totals(tx, until=int(last["last"]))
    chained = bytes(before["hash"]) if before else proofs.NOTHING
    hashed = proofs.root_hash(chained, day, first["number"], number, sums, content)
    return RootRecord(day=day, first_batch=first["number"], last_batch=number, totals=sums, content=content.hex(),
                      hash=hashed.hex())  # fmt: skip


SETTLE_MS: Final = 1_000  # a day is over when nothing of it can still be waiting for its commit


def day_of(at_ms: int) -> str:
    """`2026-11-25`: the day of a time, UTC."""
    return datetime.datetime.fromtimestamp(at_ms / 1000, tz=datetime.UTC).date().isoformat()


def _end_of(day: str) -> int:
    midnight = datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC)
    return int(midnight.timestamp() * 1000) + MS_PER_DAY


def totals(reader: Reader, *, until: int | None = None) -> dict[str, int]:
    """Credits less debits by line of the chart, now or after the transfer numbered `until`; zeros are left out."""
    sums = {str(row["code"]): int(row["micro_usd"]) for row in reader.all(SQL.totals)}
    for row in reader.all(SQL.totals_since, {"after": until}) if until is not None else ():
        sums[str(row["code"])] -= int(row["micro_usd"])
    return {code: micro_usd for code, micro_usd in sums.items() if micro_usd}


def roots(reader: Reader, *, since_day: str = "") -> list[RootRecord]:
    """The published roots of `since_day` and later, oldest first."""
    rows = reader.all(SQL.roots_from, {"day": since_day, "limit": ROOTS_MAX})
    return [_root(row) for row in rows]


def last_root(reader: Reader) -> RootRecord | None:
    """The newest root; None before the first day is over."""
    row = reader.one(SQL.last_root)
    return None if row is None else _root(row)


def batches(reader: Reader, *, after: int, limit: int) -> list[BatchRecord]:
    """The commits numbered above `after`, in order: where a chain of more than BATCHES_MAX goes on."""
    return [_batch(row) for row in reader.all(SQL.batches_after, {"after": after, "limit": limit})]


def prove_chain(reader: Reader, since: str = "") -> ChainProof:
    """How the head follows from the root of hash `since` ("": from the start). Raises NoSuchThing for another hash.

    At most BATCHES_MAX batches after the last root are listed; `head` is then the last of those.
    """
    with reader.snapshot():
        day = ""
        if since:
            row = reader.one(SQL.root_by_hash, {"hash": parse_hash(since)})
            if row is None:
                raise NoSuchThing(
                    f"no root of these books is {since}", hint="gondwana ledger roots"
                )
            day = row["day"]
        found = roots(reader, since_day=day)
        before = reader.one(SQL.root_before, {"day": day}) if day else None
        last_batch = found[-1].last_batch if found else 0
        rows = reader.all(SQL.batches_after, {"after": last_batch, "limit": BATCHES_MAX})
        path, batch_before = (), proofs.NOTHING
        if found:
            span = {"first": found[-1].first_batch, "last": last_batch}
            hashes = [bytes(row["hash"]) for row in reader.all(SQL.batch_hashes, span)]
            path, batch_before = proofs.merkle_path(hashes, len(hashes) - 1), hashes[-1]
    batches = tuple(_batch(row) for row in rows)
    return ChainProof(
        root_before=(bytes(before["hash"]) if before else proofs.NOTHING).hex(),
        roots=tuple(found),
        batch_before=batch_before.hex(),
        batch_path=path,
        batches=batches,
        head=batches[-1].hash if batches else batch_before.hex(),
    )


def prove_entry(reader: Reader, seq: int) -> EntryProof:
    """That the entry of the transfer numbered `seq` is under its day's root.

    Raises NoSuchThing where there is no such entry, or its day has no root yet.
    """
    with reader.snapshot():
        row = reader.one(SQL.batch_of_transfer, {"seq": seq})
        if row is None or row["last"] < seq:
            raise NoSuchThing(
                f"there is no sealed transfer {seq}", hint="gondwana account statement"
            )
        root = reader.one(SQL.root_of_batch, {"number": row["number"]})
        if root is None:
            raise NoSuchThing(
                f"the day of transfer {seq} is not over: its root comes after midnight UTC"
            )
        entries = list(_entries(reader, row["first"], row["last"]))
        index = max(n for n, each in enumerate(entries) if each.first <= seq)
        span = {"first": root["first_batch"], "last": root["last_batch"]}
        hashes = [bytes(each["hash"]) for each in reader.all(SQL.batch_hashes, span)]
        before = reader.one(SQL.batch, {"number": row["number"] - 1})
        root_before = reader.one(SQL.root_before, {"day": root["day"]})
    return EntryProof(
        entry=entries[index].leaf.decode(),
        path=proofs.merkle_path([proofs.leaf_hash(each.leaf) for each in entries], index),
        batch=_batch(row),
        batch_before=(bytes(before["hash"]) if before else proofs.NOTHING).hex(),
        batch_path=proofs.merkle_path(hashes, row["number"] - root["first_batch"]),
        root=_root(root),
        root_before=(bytes(root_before["hash"]) if root_before else proofs.NOTHING).hex(),
    )


def parse_hash(text: str) -> bytes:
    """The 32 bytes that 64 hexadecimal characters write; raises InvalidValue."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise InvalidValue(
            field="root", value=text[:80], hint="64 hexadecimal characters: gondwana ledger roots"
        )
    return found


def leaf(
    entry: Row, legs: Sequence[Row], accounts: Mapping[int, str], names: Mapping[int, str]
) -> bytes:
    """The canonical text of an entry, as `wire.proofs` describes it."""
    moves = [
        [accounts.get(leg["debit"]), accounts.get(leg["credit"]), leg["amount"], leg["kind"], leg["pending"]]
        for leg in legs
    ]  # fmt: skip
    kind, subject, job = (names.get(entry[part]) for part in ("kind", "subject", "job"))
    return _text(
        entry["seq"], entry["event"], kind, subject, job, entry["at_ms"], entry["facts"], moves
    )


def _text(seq: int, event: bytes, kind: str | None, subject: str | None, job: str | None, at_ms: int,
          facts: str | None, moves: Sequence[Sequence[Any]]) -> bytes:  # fmt: skip
    told = json.loads(facts) if facts else []
    return proofs.leaf_bytes([seq, bytes(event).hex(), kind, subject, job, at_ms, told, moves])


_Row = tuple[Any, ...]


class _Entry(NamedTuple):
    first: int  # its first transfer
    at_ms: int
    leaf: bytes


def _entries(reader: Reader, first: int, last: int) -> Iterator[_Entry]:
    """Each entry between two transfers."""
    return _joined(*together(reader, *_between(first, last)))


def _between(first: int, last: int) -> tuple[Asked[list[_Row]], Asked[list[_Row]]]:
    """The transfers between two, and their entries, with names."""
    return (
        of_all(tuple, SQL.named_transfers_between, first=first, last=last),
        of_all(tuple, SQL.named_entries_between, first=first, last=last),
    )


def _joined(transfers: Sequence[_Row], entries: Sequence[_Row]) -> Iterator[_Entry]:
    moves = [
        (debit, credit, amount, kind, pending)
        for _, _, debit, credit, amount, kind, pending in transfers
    ]
    place = 0
    for seq, legs, event, kind, subject, job, at_ms, facts in entries:
        its = moves[place : place + legs]
        place += legs
        yield _Entry(seq, at_ms, _text(seq, event, kind, subject, job, at_ms, facts, its))


def _batch(row: Row) -> BatchRecord:
    return BatchRecord(number=row["number"], first=row["first"], last=row["last"], at_ms=row["at_ms"],
                       content=bytes(row["content"]).hex(), hash=bytes(row["hash"]).hex())  # fmt: skip


def _root(row: Row) -> RootRecord:
    return RootRecord(
        day=row["day"], first_batch=row["first_batch"], last_batch=row["last_batch"], totals=json.loads(row["totals"]),
        content=bytes(row["content"]).hex(), hash=bytes(row["hash"]).hex(),
    )  # fmt: skip
