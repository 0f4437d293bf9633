"""The audit: everything recomputed from the transfers in one pass, each difference listed."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import Final

from gondwana.core.errors import Invalid
from gondwana.db.transaction import Reader, Row
from gondwana.ledger.accounts import Limit, kind_of
from gondwana.ledger.chain import leaf
from gondwana.ledger.store import SQL
from gondwana.wire import proofs

DIFFERENCES_MAX: Final = 1_000  # a report is for people; the first ones tell where to look
TRANSFERS_AT_ONCE: Final = 20_000
BATCHES_AT_ONCE: Final = 2_000
ROOTS_READ_MAX: Final = 100_000  # days
SUSPENSE_CODE: Final = 1090
COUNTERS: Final = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
POST, PENDING, POST_PENDING, VOID_PENDING = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as the transfers say."""

    subject: str  # an account, a transfer, an entry, a batch or a day
    wrong: str  # in plain words


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What the books hold, and where they do not add up."""

    accounts: int
    entries: int
    transfers: int
    batches: int
    roots: int
    head: str  # hash of the newest batch; "" while nothing is sealed
    posted_micro_usd: dict[int, int]  # credits less debits by line of the chart; money sums to zero
    unclear_micro_usd: int  # in suspense: must be 0 at close
    differences: tuple[Difference, ...]  # at most DIFFERENCES_MAX

    @property
    def ok(self) -> bool:
        """Whether everything adds up."""
        return not self.differences


def audit(reader: Reader) -> AuditReport:
    """Recompute all balances, limits, holds and hashes from the transfers, in one snapshot."""
    with reader.snapshot():
        books = _Books(reader)
        books.read()
        books.check_accounts()
        roots = books.check_roots()
    totals: dict[int, int] = {}
    for row in books.accounts.values():
        totals[row["code"]] = totals.get(row["code"], 0) + row["credits_posted"] - row["debits_posted"]  # fmt: skip
    return AuditReport(
        accounts=len(books.accounts),
        entries=books.entries,
        transfers=books.transfers,
        batches=len(books.batch_hashes),
        roots=roots,
        head=books.batch_hashes[-1].hex() if books.batch_hashes else "",
        posted_micro_usd=dict(sorted(totals.items())),
        unclear_micro_usd=totals.get(SUSPENSE_CODE, 0),
        differences=tuple(books.found[:DIFFERENCES_MAX]),
    )


@dataclass(slots=True)
class _Hold:
    debit: int
    credit: int
    amount: int
    resolved: bool = False


@dataclass(slots=True)
class _Books:
    """What one pass over the books gathers."""

    reader: Reader
    accounts: dict[int, Row] = field(init=False)
    account_names: dict[int, str] = field(init=False)
    names: dict[int, str] = field(init=False)
    counters: dict[int, list[int]] = field(init=False)  # as COUNTERS
    roots: Sequence[Row] = field(init=False)
    totals: dict[int, dict[str, int]] = field(
        default_factory=dict[int, dict[str, int]]
    )  # after a root's last batch
    holds: dict[int, _Hold] = field(default_factory=dict[int, _Hold])
    found: list[Difference] = field(default_factory=list[Difference])
    batch_hashes: list[bytes] = field(default_factory=list[bytes])
    entries: int = 0
    transfers: int = 0

    def __post_init__(self) -> None:
        self.accounts = {row["id"]: row for row in self.reader.all(SQL.all_accounts)}
        self.account_names = {number: row["name"] for number, row in self.accounts.items()}
        self.names = {row["id"]: row["name"] for row in self.reader.all(SQL.all_names)}
        self.counters = {number: [0, 0, 0, 0] for number in self.accounts}
        self.roots = self.reader.all(SQL.roots_from, {"day": "", "limit": ROOTS_READ_MAX})

    def differs(self, subject: str, wrong: str) -> None:
        """Note a difference."""
        if len(self.found) < DIFFERENCES_MAX:
            self.found.append(Difference(subject=subject, wrong=wrong))

    def read(self) -> None:
        """Go over all transfers, entries and batches once."""
        first, hashed = 1, proofs.NOTHING
        ends = {row["last_batch"] for row in self.roots}
        for batches, last in _spans(self.reader, ends):
            leaves = self._read_span(first, last)
            for batch in batches:
                hashed = self._check_batch(batch, hashed, leaves)
            if batches and batches[-1]["number"] in ends:
                self.totals[batches[-1]["number"]] = self._sums()
            first = last + 1
        counted = self.reader.one(SQL.counts)
        assert counted is not None
        for what, seen in (("entries", self.entries), ("transfers", self.transfers)):
            if counted[what] != seen:
                wrong = f"{counted[what] - seen} of them have no place in the numbering"
                self.differs(f"all {what}", wrong)

    def _sums(self) -> dict[str, int]:
        """Credits less debits by line of the chart, of what was read so far; zeros are left out."""
        sums: Counter[str] = Counter()
        for number, row in self.accounts.items():
            debited, credited, *_ = self.counters[number]
            sums[str(row["code"])] += credited - debited
        return {code: micro_usd for code, micro_usd in sums.items() if micro_usd}

    def _read_span(self, first: int, last: int) -> list[tuple[int, bytes]]:
        """(last transfer, leaf hash) of each entry between two transfers."""
        span = {"first": first, "last": last}
        transfers = self.reader.all(SQL.transfers_between, span)
        leaves: list[tuple[int, bytes]] = []
        place = 0
        for entry in self.reader.all(SQL.entries_between, span):
            seq, count = entry["seq"], entry["legs"]
            while place < len(transfers) and transfers[place]["seq"] < seq:
                place = self._stray(transfers[place], place)
            legs = transfers[place : place + count]
            if [leg["seq"] for leg in legs] != list(range(seq, seq + count)):
                legs = [leg for leg in legs if seq <= leg["seq"] < seq + count]
                self.differs(f"entry {seq}", f"has {len(legs)} of its {count} transfers")
            for number, leg in enumerate(legs):
                if leg["leg"] != number:
                    self.differs(f"transfer {leg['seq']}", "belongs to no entry")
                self._count(leg)
            place += len(legs)
            leaves.append((seq + count - 1, self._leaf_hash(entry, legs)))
            self.entries += 1
        while place < len(transfers):
            place = self._stray(transfers[place], place)
        self.transfers += len(transfers)
        return leaves

    def _leaf_hash(self, entry: Row, legs: list[Row]) -> bytes:
        try:
            return proofs.leaf_hash(leaf(entry, legs, self.account_names, self.names))
        except ValueError:
            self.differs(f"entry {entry['seq']}", "has facts that are no JSON")
            return b""  # of no leaf

    def _stray(self, transfer: Row, place: int) -> int:
        self.differs(f"transfer {transfer['seq']}", "belongs to no entry")
        self._count(transfer)
        return place + 1

    def _count(self, row: Row) -> None:
        """What one transfer does to its accounts."""
        seq, amount, kind = row["seq"], row["amount"], row["kind"]
        debit, credit = row["debit"], row["credit"]
        if debit not in self.counters or credit not in self.counters:
            self.differs(f"transfer {seq}", "names an account that does not exist")
            return
        debited, credited = self.counters[debit], self.counters[credit]
        if kind == POST and row["pending"] is None:
            debited[0] += amount
            credited[1] += amount
        elif kind == PENDING and row["pending"] is None:
            debited[2] += amount
            credited[3] += amount
            self.holds[seq] = _Hold(debit, credit, amount)
        else:
            self._count_resolution(row, debited, credited)
        if debit == credit or amount <= 0:
            self.differs(f"transfer {seq}", "moves nothing, or to where it comes from")
        if self.accounts[debit]["asset"] != self.accounts[credit]["asset"]:
            self.differs(f"transfer {seq}", "moves between two assets")

    def _count_resolution(self, row: Row, debited: list[int], credited: list[int]) -> None:
        seq, amount, hold = row["seq"], row["amount"], self.holds.get(row["pending"])
        if hold is None:
            self.differs(f"transfer {seq}", "resolves what is not a hold")
            return
        if hold.resolved:
            self.differs(f"transfer {seq}", "resolves a hold that another transfer resolves too")
        if (hold.debit, hold.credit) != (row["debit"], row["credit"]):
            self.differs(f"transfer {seq}", "resolves a hold between other accounts")
        if amount > hold.amount or (row["kind"] == VOID_PENDING and amount != hold.amount):
            self.differs(f"transfer {seq}", "pays or releases another amount than was held")
        hold.resolved = True
        debited[2] -= hold.amount
        credited[3] -= hold.amount
        if row["kind"] == POST_PENDING:
            debited[0] += amount
            credited[1] += amount

    def _check_batch(self, batch: Row, before: bytes, leaves: list[tuple[int, bytes]]) -> bytes:
        """Compare a batch with its entries, taken from the left of `leaves`; returns its hash."""
        number = batch["number"]
        taken = 0
        while taken < len(leaves) and leaves[taken][0] <= batch["last"]:
            taken += 1
        content = proofs.merkle_root([hashed for _, hashed in leaves[:taken]]) if taken else b""
        del leaves[:taken]
        if content != bytes(batch["content"]):
            span = f"transfers {batch['first']} to {batch['last']}"
            self.differs(
                f"batch {number}", f"is not what was sealed: the content changed of {span}"
            )
        hashed = proofs.batch_hash(
            before, number, batch["first"], batch["last"], batch["at_ms"], bytes(batch["content"])
        )
        if hashed != bytes(batch["hash"]) or number != len(self.batch_hashes) + 1:
            self.differs(f"batch {number}", "does not follow from the one before")
        self.batch_hashes.append(bytes(batch["hash"]))
        return bytes(batch["hash"])

    def check_accounts(self) -> None:
        """Compare what is stored of each account with what its transfers add up to."""
        sums: dict[tuple[str, str], int] = {}
        for number, row in self.accounts.items():
            counted = self.counters[number]
            for counter, value in zip(COUNTERS, counted, strict=True):
                if row[counter] != value:
                    self.differs(row["name"], f"{counter} is {row[counter]}, its transfers say {value}")  # fmt: skip
                key = (row["asset"], counter)
                sums[key] = sums.get(key, 0) + row[counter]
            self._check_kind(row, counted)
        for asset in {asset for asset, _ in sums}:
            for state in ("posted", "pending"):
                debited, credited = sums[asset, f"debits_{state}"], sums[asset, f"credits_{state}"]
                if debited != credited:
                    wrong = f"{state} debits are {debited}, credits {credited}"
                    self.differs(f"all accounts in {asset}", wrong)

    def _check_kind(self, row: Row, counted: list[int]) -> None:
        name = row["name"]
        try:
            kind = kind_of(name)
        except Invalid:
            self.differs(name, "is not in the chart of accounts")
            return
        if (kind.code, kind.limit.value, kind.asset) != (
            row["code"],
            row["limit_side"],
            row["asset"],
        ):
            self.differs(name, "has another code, limit or asset than the chart of accounts")
        debited, credited, debits_held, credits_held = counted
        if kind.limit is Limit.DEBITS and debited + debits_held > credited:
            self.differs(name, "is overdrawn")
        if kind.limit is Limit.CREDITS and credited + credits_held > debited:
            self.differs(name, "gave out more than came in")

    def check_roots(self) -> int:
        """Compare each day's root with its batches; returns how many there are."""
        before, next_batch = proofs.NOTHING, 1
        for row in self.roots:
            first, last = row["first_batch"], row["last_batch"]
            hashes = self.batch_hashes[first - 1 : last]
            if first != next_batch or len(hashes) != last - first + 1:
                self.differs(f"root of {row['day']}", "does not cover the batches that it should")
            elif proofs.merkle_root(hashes) != bytes(row["content"]):
                self.differs(f"root of {row['day']}", "is not over the batches of that day")
            told = _totals(row)
            if told != self.totals.get(last, {}):
                wrong = "has other totals than its day's transfers add up to"
                self.differs(f"root of {row['day']}", wrong)
            hashed = proofs.root_hash(before, row["day"], first, last, told, bytes(row["content"]))
            if hashed != bytes(row["hash"]):
                self.differs(f"root of {row['day']}", "does not follow from the one before")
            before, next_batch = bytes(row["hash"]), last + 1
        return len(self.roots)


def _totals(row: Row) -> dict[str, int]:
    """What a root tells of its day; nothing where it is no JSON."""
    try:
        return json.loads(row["totals"])
    except ValueError:
        return {}


def _spans(reader: Reader, ends: Set[int]) -> Iterator[tuple[list[Row], int]]:
    """(batches, last transfer): consecutive batches that together have enough transfers for one read.

    A batch numbered in `ends` is the last of its span. What is not sealed comes last, without a batch.
    """
    waiting: list[Row] = []
    after, end = 0, 0
    while rows := reader.all(SQL.batches_after, {"after": after, "limit": BATCHES_AT_ONCE}):
        for row in rows:
            waiting.append(row)
            if row["number"] in ends or row["last"] - waiting[0]["first"] >= TRANSFERS_AT_ONCE:
                yield waiting, row["last"]
                waiting = []
        after, end = rows[-1]["number"], rows[-1]["last"]
    if waiting:
        yield waiting, end
    newest = reader.one(SQL.last_transfer)
    while newest is not None and newest["seq"] is not None and end < newest["seq"]:
        row = reader.one(SQL.entry_at_or_before, {"seq": end + TRANSFERS_AT_ONCE})
        end = max(int(row["seq"] + row["legs"] - 1) if row else 0, end + 1)
        if end + TRANSFERS_AT_ONCE > newest["seq"]:
            end = max(end, int(newest["seq"]))
        yield [], end
