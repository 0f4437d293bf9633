"""What was promised and proven of each lease by the second, read from what is stored: the facts of service credits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, from_rows, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import store
from gondwana.jobs.rules import presence
from gondwana.jobs.rules import service as rules
from gondwana.jobs.rules.service import Course, Gap, Measured, Start
from gondwana.ledger.accounts import lease_escrow
from gondwana.ledger.rules.sla import GRACE_MS
from gondwana.ledger.service import Service
from gondwana.ledger.store import SQL as LEDGER
from gondwana.ledger.store import balance, event_key, first_seq_at
from gondwana.market import store as market
from gondwana.market.model import Lease
from gondwana.supply import store as supply

SQL: Final = load_queries("gondwana.jobs", "service.sql")
ALWAYS: Final = Instant(0.0)
GAPS_MAX: Final = 10_000  # a restart each six minutes for as long as a lease is looked at
SUSPECTS_PAGE: Final = 1_000  # leases read at once; they are all looked at
TENANT: Final = "tenant:"  # accounts of this kind get back what an escrow did not pay


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the network knows of itself: until when it heard its machines, and when it could not."""

    until: Instant
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthRow:
    """What is stored of one lease in one month."""

    lease_id: str
    month: str
    proven_before_ms: int = 0
    paid_before_micro_usd: int = 0
    outage_ms: int = 0  # when something was last credited
    due_micro_usd: int = 0
    credited_micro_usd: int = 0
    credited_at: Instant | None = None
    settled_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """One lease in one month, as it stands."""

    row: MonthRow
    is_stored: bool
    measured: Measured
    service: Service
    is_over: bool  # nothing of it changes any more


def known(reader: Reader, *, since: Instant = ALWAYS) -> Known | None:
    """Until when the network heard its machines, with the gaps that ended after `since`; None before it ever looked."""
    row = reader.one(SQL.network_heard)
    if row is None:
        return None
    gaps = reader.all(SQL.gaps, {"after": since, "limit": GAPS_MAX})
    return Known(until=Instant(row["until"]), gaps=tuple(from_row(Gap, gap) for gap in gaps))


def heard(reader: Reader, now: Instant) -> presence.Heard:
    """Who was heard last; it may look at all machines, where none or one owner's alone were."""
    at = supply.last_proven(reader)
    since = (at or now) - presence.BEFORE_SECONDS
    first = reader.one(SQL.owner_heard, {"since": since, "but": ""})
    if first is None:
        return presence.Heard(at=at, owners=0)
    other = reader.one(SQL.owner_heard, {"since": since, "but": first["owner_id"]})
    return presence.Heard(at=at, owners=1 if other is None else 2)


def look(
    tx: Transaction,
    now: Instant,
    heard: presence.Heard,
    listening_since: Instant,
    down_after_seconds: float,
) -> Gap | None:
    """Note until when the network hears its machines; the gap that this ends, if it could not before."""
    row = tx.one(SQL.network_heard)
    hearing, gap = presence.look(
        None if row is None else from_row(presence.Hearing, row),
        now=now,
        listening_since=listening_since,
        heard=heard,
        down_after_seconds=down_after_seconds,
    )
    tx.execute(SQL.save_network_heard, to_row(hearing))
    if gap is not None:
        tx.execute(SQL.add_gap, to_row(gap))
    return gap


def suspects(reader: Reader, until: Instant) -> Iterator[Lease]:
    """Leases by the second that may owe their tenants a credit, by id; the database rules out nearly all that live.

    Times are floats: it lets those pass that lack a second of what `may_miss` asks.
    """
    month = rules.month_of(until)
    begins = rules.month_begins(month)
    given = {
        "month": month, "begins": begins, "until": until, "of_month_ms": (until - begins) * 1_000,
        "missing_ms": GRACE_MS - 1_000, "limit": SUSPECTS_PAGE,
    }  # fmt: skip
    after = ""
    while rows := reader.all(SQL.suspects, {**given, "after": after}):
        yield from from_rows(Lease, rows)
        after = rows[-1]["id"]


def course(reader: Reader, lease: Lease, known_until: Instant) -> Course:
    """How a lease went, with what is known of its command, its job, and who served after it."""
    ended = reader.one(SQL.command_ended, {"lease_id": lease.id})
    is_blamed = rules.was_ended_by_owner(lease)
    return Course(
        lease=lease,
        known_until=known_until,
        command_ended_at=None if ended is None or ended["at"] is None else Instant(ended["at"]),
        job_ended_at=store.job(reader, lease.job_id).ended_at if is_blamed else None,
        served_again_at=market.served_again_at(reader, lease) if is_blamed else None,
    )


def rows(reader: Reader, lease_id: str) -> dict[str, MonthRow]:
    """What is stored of a lease, by month."""
    found = reader.all(SQL.service_months, {"lease_id": lease_id})
    return {each.month: each for each in from_rows(MonthRow, found)}


def months(reader: Reader, of: Course, gaps: Sequence[Gap]) -> list[Month]:
    """Every month of a lease as it stands, the earliest first."""
    lease, names = of.lease, rules.months(of)
    stored = rows(reader, lease.id)
    paid = paid_micro_usd(reader, lease)
    starts: list[MonthRow] = []
    for month in names:
        earlier = starts[-1] if starts else None
        starts.append(
            stored.get(month) or _begin(reader, lease, month, earlier, paid=paid, gaps=gaps)
        )
    found: list[Month] = []
    for number, row in enumerate(starts):
        later = starts[number + 1] if number + 1 < len(starts) else None
        measured = rules.measure(of, row.month, gaps)
        proven_ms = (later.proven_before_ms if later else lease.proven_ms) - row.proven_before_ms
        charged = (later.paid_before_micro_usd if later else paid) - row.paid_before_micro_usd
        service = Service(
            lease_id=lease.id,
            month=row.month,
            promised_ms=measured.promised_ms,
            proven_ms=max(0, proven_ms),
            charged_micro_usd=max(0, charged),
            credited_micro_usd=row.credited_micro_usd,
        )
        found.append(
            Month(
                row=row,
                is_stored=row.month in stored,
                measured=measured,
                service=service,
                is_over=later is not None or rules.is_over(of),
            )
        )
    return found


def paid_micro_usd(reader: Reader, lease: Lease) -> int:
    """What a lease's escrow has paid so far, without what its close gave back."""
    paid = balance(reader, lease_escrow(lease.id)).debits_posted
    close = reader.one(LEDGER.entry_of_event, {"event": event_key(f"lease.close:{lease.id}")})
    if close is None:
        return paid
    span = {"first": close["seq"], "last": close["seq"] + close["legs"] - 1}
    escrow = lease_escrow(lease.id)
    returned = (
        leg["amount"]
        for leg in reader.all(LEDGER.named_transfers_between, span)
        if leg["debit"] == escrow and leg["credit"].startswith(TENANT)
    )
    return paid - sum(returned)


def save(tx: Transaction, row: MonthRow) -> None:
    """Store what is known of a lease in a month."""
    tx.execute(SQL.save_service_month, to_row(row))


def _begin(
    reader: Reader, lease: Lease, month: str, earlier: MonthRow | None, *, paid: int, gaps: Sequence[Gap]
) -> MonthRow:  # fmt: skip
    """What a lease had proven and paid before a month that is not stored yet."""
    row = MonthRow(lease_id=lease.id, month=month)
    if earlier is None:
        return row
    first = first_seq_at(reader, rules.month_begins(month))
    since = reader.one(SQL.paid_since, {"escrow": lease_escrow(lease.id), "first": first})
    start = Start(proven_ms=earlier.proven_before_ms, paid_micro_usd=earlier.paid_before_micro_usd)
    return replace(
        row,
        proven_before_ms=rules.proven_before(lease, start, month, gaps),
        paid_before_micro_usd=max(
            start.paid_micro_usd, paid - (int(since["amount"]) if since else 0)
        ),
    )
