"""The audit: everything recomputed from the transfers, each difference listed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gondwana.core.errors import Invalid
from gondwana.db.transaction import Reader, Row
from gondwana.ledger.accounts import AccountName, Limit, kind_of
from gondwana.ledger.model import Leg, TransferKind, leg_id
from gondwana.ledger.store import SQL, digest, entry_of

DIFFERENCES_MAX: Final = 1_000  # a report is for people; the first ones tell where to look
ENTRIES_READ_AT_ONCE: Final = 1_000
_COUNTERS: Final = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as the transfers say."""

    subject: str  # an account, a transfer or an event
    wrong: str  # in plain words


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What the books hold, and where they do not add up."""

    accounts: int
    entries: int
    transfers: int
    posted_micro_usd: dict[int, int]  # credits less debits by line of the chart; sums to zero
    differences: tuple[Difference, ...]  # at most DIFFERENCES_MAX

    @property
    def ok(self) -> bool:
        """Whether everything adds up."""
        return not self.differences


def audit(reader: Reader) -> AuditReport:
    """Recompute all balances, limits, holds and digests from the transfers, in one snapshot."""
    with reader.snapshot():
        counts = reader.one(SQL.counts)
        assert counts is not None
        accounts = reader.all(SQL.recomputed_balances)
        broken = reader.all(SQL.broken_transfers, {"limit": DIFFERENCES_MAX})
        found = [
            *(Difference(subject=f"transfer {row['seq']}", wrong=row["wrong"]) for row in broken),
            *_sum_differences(accounts),
            *(difference for row in accounts for difference in _account_differences(row)),
            *_entry_differences(reader),
        ]
    return AuditReport(
        accounts=counts["accounts"],
        entries=counts["entries"],
        transfers=counts["transfers"],
        posted_micro_usd=_totals(accounts),
        differences=tuple(found[:DIFFERENCES_MAX]),
    )


def _totals(accounts: list[Row]) -> dict[int, int]:
    totals: dict[int, int] = {}
    for row in accounts:
        totals[row["code"]] = totals.get(row["code"], 0) + row["credits_posted"] - row["debits_posted"]  # fmt: skip
    return dict(sorted(totals.items()))


def _sum_differences(accounts: list[Row]) -> Iterator[Difference]:
    for state in ("posted", "pending"):
        debited = sum(row[f"debits_{state}"] for row in accounts)
        credited = sum(row[f"credits_{state}"] for row in accounts)
        if debited != credited:
            wrong = f"{state} debits are {debited}, credits {credited}"
            yield Difference(subject="all accounts", wrong=wrong)


def _account_differences(row: Row) -> Iterator[Difference]:
    name = row["name"]
    for counter in _COUNTERS:
        if row[counter] != row[f"{counter}_found"]:
            wrong = f"{counter} is {row[counter]}, its transfers say {row[f'{counter}_found']}"
            yield Difference(subject=name, wrong=wrong)
    try:
        kind = kind_of(name)
    except Invalid:
        yield Difference(subject=name, wrong="is not in the chart of accounts")
        return
    if (kind.code, kind.limit.value) != (row["code"], row["limit_side"]):
        yield Difference(subject=name, wrong="has another code or limit than the chart of accounts")
    debited, credited = row["debits_posted_found"], row["credits_posted_found"]
    if kind.limit is Limit.DEBITS and debited + row["debits_pending_found"] > credited:
        yield Difference(subject=name, wrong="is overdrawn")
    if kind.limit is Limit.CREDITS and credited + row["credits_pending_found"] > debited:
        yield Difference(subject=name, wrong="gave out more than came in")


def _entry_differences(reader: Reader) -> Iterator[Difference]:
    """Entries that lost legs, or whose content is no longer what was posted."""
    after = 0
    while entries := reader.all(SQL.entries_after, {"after": after, "limit": ENTRIES_READ_AT_ONCE}):
        span = {"first": entries[0]["seq"], "last": entries[-1]["seq"]}
        legs: dict[int, list[Row]] = {}
        for leg in reader.all(SQL.legs_of_entries, span):
            legs.setdefault(leg["entry"], []).append(leg)
        for entry in entries:
            yield from _content_differences(entry, legs.get(entry["seq"], []))
        after = entries[-1]["seq"]


def _content_differences(entry: Row, rows: list[Row]) -> Iterator[Difference]:
    if not rows:
        yield Difference(subject=entry["event_id"], wrong="has no transfers")
        return
    try:
        same = digest(entry_of(entry, tuple(_leg(row) for row in rows))) == entry["digest"]
    except Invalid:
        same = False
    if not same:
        yield Difference(
            subject=entry["event_id"], wrong="is not what was posted: its content changed"
        )


def _leg(row: Row) -> Leg:
    held = row["held_event_id"]
    return Leg(
        debit=AccountName(row["debit"]),
        credit=AccountName(row["credit"]),
        amount_micro_usd=row["amount"],
        kind=TransferKind(row["kind"]),
        pending_id=None if held is None else leg_id(held, row["held_leg"]),
    )
