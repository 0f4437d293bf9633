"""Service credits: who owes what for the time that was missing, who pays it, and the evidence kept beside it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.events import Event
from gondwana.core.values import replace
from gondwana.db.rows import from_rows, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import service, store
from gondwana.jobs.rules import service as service_rules
from gondwana.jobs.rules.service import KEPT_SECONDS, Course, Start
from gondwana.jobs.service import SQL, Known, Month, MonthRow
from gondwana.ledger import rules
from gondwana.ledger.accounts import fund_insurance, lease_escrow, provider_holdback, stake
from gondwana.ledger.budgets import draws
from gondwana.ledger.model import Balance, Entry, LeaseTerms
from gondwana.ledger.rules import Cover
from gondwana.ledger.service import PPM, availability_words
from gondwana.ledger.settings import setting
from gondwana.ledger.solvency import InsuranceSettings
from gondwana.ledger.store import balance, post
from gondwana.market import store as market
from gondwana.market.model import Lease
from gondwana.supply import store as supply

STAKE_WINDOW_SECONDS: Final = 30 * 86_400  # within which a stake pays its part for failures once
CREDITS_MAX: Final = 10_000  # of one lease, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What all credits of one pass share."""

    haircut_ppm: int = 0
    paid_in_micro_usd: Mapping[str, int] = field(default_factory=dict[str, int])  # by owner


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """One credit that was given, with what it follows from."""

    lease_id: str
    month: str
    credited_micro_usd: int  # in all, with this one
    provider_id: str
    evidence: str  # JSON; `hash` is of these bytes
    hash: str
    live_ms: int
    unserved_ms: int
    excused_ms: int
    from_holdback_micro_usd: int
    from_stake_micro_usd: int
    from_fund_micro_usd: int
    at: Instant

    @property
    def amount_micro_usd(self) -> int:
        """What this credit gave."""
        return self.from_holdback_micro_usd + self.from_stake_micro_usd + self.from_fund_micro_usd


def candidates(reader: Reader, known: Known) -> Iterator[Lease]:
    """The leases of which something may have changed: a look at their own rows rules out nearly all that live."""
    for lease in service.suspects(reader, known.until):
        if lease.closed_at is not None or _is_worth_a_look(reader, lease, known):
            yield lease


def _is_worth_a_look(reader: Reader, lease: Lease, known: Known) -> bool:
    month, start = service_rules.month_of(known.until), Start()
    if lease.lived_at is None:
        return False
    if service_rules.month_of(lease.lived_at) != month:
        rows = service.rows(reader, lease.id)
        earlier = (row for name, row in rows.items() if name < month)
        if month not in rows or any(row.settled_at is None for row in earlier):
            return True
        start = Start(proven_ms=rows[month].proven_before_ms)
    return service_rules.may_miss(lease, known.until, start=start, month=month, gaps=known.gaps)


def plan(reader: Reader, now: Instant, known: Known) -> tuple[list[str], Pool]:
    """The leases that something is to be written of, and what their credits share.

    What owners cannot pay of all credits together is asked of the fund at once, so that it pays all alike.
    """
    covers: dict[str, Cover] = {}
    paid_in: dict[str, int] = {}
    due: list[str] = []
    claims = 0
    for lease in candidates(reader, known):
        provider_id, _ = _owner(reader, lease)
        course = service.course(reader, lease, known.until)
        months = service.months(reader, course, known.gaps)
        writes = _may_end(course, [_row_after(lease, month, 0, now) for month in months], now)
        for month in months:
            amount = due_now(lease, month, now) - month.service.credited_micro_usd
            if amount > 0 and provider_id not in covers:
                paid_in[provider_id] = paid_in_micro_usd(reader, provider_id)
                pool = Pool(paid_in_micro_usd=paid_in)
                covers[provider_id] = cover(reader, now, provider_id, pool)
            paid = False
            if amount > 0:
                entry = _entry(reader, lease, month, covers[provider_id])
                claims += rules.claim_on_fund_micro_usd(amount, covers[provider_id])
                covers[provider_id] = _less(covers[provider_id], entry, provider_id)
                paid = bool(entry.legs)
            writes = writes or paid or _is_news(lease, month, now, is_due=amount > 0)
        if writes:
            due.append(lease.id)
    fund = balance(reader, fund_insurance()).available_micro_usd
    return due, Pool(haircut_ppm=rules.haircut_ppm(fund, claims), paid_in_micro_usd=paid_in)


def settle(tx: Transaction, now: Instant, lease_id: str, pool: Pool) -> int:
    """Credit what is due of a lease and can be paid; what its tenant got, in micro-USD. Done twice it is done once."""
    lease, known = market.lease(tx, lease_id), service.known(tx)
    if known is None or lease.serviced_at is not None:
        return 0
    course = service.course(tx, lease, known.until)
    months, after, total = service.months(tx, course, known.gaps), list[MonthRow](), 0
    for month in months:
        credited = _credit(tx, now, lease, month, pool)
        total += credited
        after.append(_row_after(lease, month, credited, now))
    for month, row in zip(months, after, strict=True):
        is_kept = len(months) > 1 or month.is_stored or row.due_micro_usd > 0
        if is_kept and (row != month.row or not month.is_stored):
            service.save(tx, row)
    if _may_end(course, after, now):
        market.settle_service(tx, now, lease.id)
    return total


def due_now(lease: Lease, month: Month, now: Instant) -> int:
    """What is to have been credited of a month by now: all that is due, or what was credited while it can wait."""
    due = rules.credit_due_micro_usd(lease.sla, month.service)
    since = None if month.row.credited_at is None else now - month.row.credited_at
    waits = not month.is_over and not service_rules.is_due_again(
        month.service, due, outage_ms=month.row.outage_ms, since_seconds=since
    )
    if waits or month.row.settled_at is not None:
        return month.service.credited_micro_usd
    return due


def cover(reader: Reader, now: Instant, provider_id: str, pool: Pool) -> Cover:
    """What can pay for an owner's failures now."""
    settings = setting(reader, "insurance", InsuranceSettings)
    drawn = reader.one(
        SQL.drawn_by_owner, {"provider_id": provider_id, "since": now - STAKE_WINDOW_SECONDS}
    )
    from_stake, from_fund = (drawn["from_stake"], drawn["from_fund"]) if drawn else (0, 0)
    staked = balance(reader, stake(provider_id))
    at_stake = (staked.available_micro_usd + from_stake) * settings.stake_cover_ppm // PPM
    return Cover(
        holdback=balance(reader, provider_holdback(provider_id)),
        stake=staked,
        insurance=balance(reader, fund_insurance()),
        stake_cap_micro_usd=max(0, at_stake - from_stake),
        fund_cap_micro_usd=rules.cover_left_micro_usd(
            paid_in_micro_usd=pool.paid_in_micro_usd.get(provider_id, 0),
            drawn_micro_usd=from_fund,
            trusted_micro_usd=settings.trusted_micro_usd.get(provider_id, 0),
        ),
        haircut_ppm=pool.haircut_ppm,
    )


def paid_in_micro_usd(reader: Reader, provider_id: str) -> int:
    """What an owner's leases by the second ever brought the network in fees and premiums."""
    row = reader.one(SQL.paid_in_by_owner, {"provider_id": provider_id})
    return int(row["amount"]) if row else 0


def credits_of_lease(reader: Reader, lease_id: str) -> list[Credit]:
    """Every credit of a lease with its evidence, oldest first."""
    found = reader.all(SQL.evidence_of_lease, {"lease_id": lease_id, "limit": CREDITS_MAX})
    return from_rows(Credit, found)


def credited_micro_usd(reader: Reader, lease_id: str) -> int:
    """What a lease's tenant was credited in all."""
    row = reader.one(SQL.credited_of_lease, {"lease_id": lease_id})
    return int(row["amount"]) if row else 0


def credited_of_job(reader: Reader, job_id: str) -> int:
    """What was credited for all leases of a job."""
    row = reader.one(SQL.credited_of_job, {"job_id": job_id})
    return int(row["amount"]) if row else 0


def open_claims_micro_usd(reader: Reader) -> int:
    """What is due to tenants and nobody could pay yet."""
    row = reader.one(SQL.open_claims)
    return int(row["amount"]) if row else 0


def _credit(tx: Transaction, now: Instant, lease: Lease, month: Month, pool: Pool) -> int:
    """Post what can be paid of what is due, with its evidence and its event; how much it was."""
    if due_now(lease, month, now) <= month.service.credited_micro_usd:
        return 0
    provider_id, machine = _owner(tx, lease)
    entry = _entry(tx, lease, month, cover(tx, now, provider_id, pool))
    if not entry.legs:
        return 0
    post(tx, entry, now)
    parts = _paid_by(entry)
    amount, evidence = sum(parts.values()), rules.evidence(month.service, sla_class=lease.sla)
    credit = Credit(
        lease_id=lease.id,
        month=month.service.month,
        credited_micro_usd=month.service.credited_micro_usd + amount,
        provider_id=provider_id,
        evidence=json.dumps(evidence, sort_keys=True, separators=(",", ":")),
        hash=rules.evidence_hash(evidence),
        live_ms=month.measured.live_ms,
        unserved_ms=month.measured.unserved_ms,
        excused_ms=month.measured.excused_ms,
        from_holdback_micro_usd=parts.get(provider_holdback(provider_id), 0),
        from_stake_micro_usd=parts.get(stake(provider_id), 0),
        from_fund_micro_usd=parts.get(fund_insurance(), 0),
        at=now,
    )
    tx.execute(SQL.add_evidence, to_row(credit))
    data = {
        "machine": machine, "month": credit.month, "availability": availability_words(month.service),
        "amount_micro_usd": amount, "evidence": credit.hash,
    }  # fmt: skip
    tx.emit(Event(at=now, kind="sla.credited", subject=lease.id, job_id=lease.job_id, data=data))
    return amount


def _row_after(lease: Lease, month: Month, credited: int, now: Instant) -> MonthRow:
    """What is stored of a month after `credited` was paid of what is due."""
    row, due = month.row, rules.credit_due_micro_usd(lease.sla, month.service)
    if row.settled_at is not None:
        return row
    changed = replace(row, due_micro_usd=due, credited_micro_usd=row.credited_micro_usd + credited)
    if credited:
        changed = replace(changed, outage_ms=month.service.outage_ms, credited_at=now)
    is_paid = changed.credited_micro_usd >= due
    ended_at = service_rules.month_begins(service_rules.next_month(row.month))
    if month.is_over and (is_paid or _is_given_up(ended_at, now)):
        changed = replace(changed, settled_at=now)
    return changed


def _is_news(lease: Lease, month: Month, now: Instant, *, is_due: bool) -> bool:
    """Whether a month is to be stored although nothing is paid: it began, is settled, or waits for money."""
    after = _row_after(lease, month, 0, now)
    if not month.is_stored:
        began = month.row.month != service_rules.month_of(lease.lived_at or now)
        return began or is_due
    settled = after.settled_at != month.row.settled_at
    return settled or (is_due and after.due_micro_usd != month.row.due_micro_usd)


def _may_end(course: Course, after: Sequence[MonthRow], now: Instant) -> bool:
    """Whether a closed lease is done with: nothing of its time changes any more, and all that was due is credited."""
    if _is_given_up(course.lease.closed_at, now):
        return True
    return service_rules.is_over(course) and all(row.settled_at is not None for row in after)


def _is_given_up(ended_at: Instant | None, now: Instant) -> bool:
    return ended_at is not None and now - ended_at > KEPT_SECONDS


def _owner(reader: Reader, lease: Lease) -> tuple[str, str]:
    """(the owner's id, the machine's name)."""
    machine = supply.machine(reader, lease.machine_id)
    return machine.owner_id, machine.name


def _entry(reader: Reader, lease: Lease, month: Month, paying: Cover) -> Entry:
    provider_id, machine = _owner(reader, lease)
    terms = LeaseTerms(
        lease_id=lease.id,
        tenant_id=lease.tenant_id,
        provider_id=provider_id,
        price_micro_usd_per_hour=lease.price_micro_usd_per_hour,
        shares=store.job(reader, lease.job_id).shares,
        job_id=lease.job_id,
        due_before_micro_usd=lease.due_before_micro_usd,
        priced_from_seconds=lease.priced_from_seconds,
    )
    return rules.sla_credit(
        terms, month.service, sla_class=lease.sla, cover=paying, machine=machine,
        promo_ppm=_promo_ppm(reader, lease),
    )  # fmt: skip


def _paid_by(entry: Entry) -> dict[str, int]:
    """How much each account pays in an entry."""
    parts: dict[str, int] = {}
    for leg in entry.legs:
        parts[leg.debit] = parts.get(leg.debit, 0) + leg.amount_micro_usd
    return parts


def _promo_ppm(reader: Reader, lease: Lease) -> int:
    """How much of what a lease has paid was promotional credit, which pays first; rounded up."""
    promo = sum(draw.promo_micro_usd for draw in draws(reader, lease_escrow(lease.id)))
    paid = service.paid_micro_usd(reader, lease)
    return -(-min(promo, paid) * PPM // paid) if paid else 0


def _less(before: Cover, entry: Entry, provider_id: str) -> Cover:
    """What is left to pay an owner's next credit of the same pass; the fund itself is shared by its haircut."""
    parts = _paid_by(entry)
    at_stake, insured = parts.get(stake(provider_id), 0), parts.get(fund_insurance(), 0)
    return replace(
        before,
        holdback=_drawn(before.holdback, parts.get(provider_holdback(provider_id), 0)),
        stake=_drawn(before.stake, at_stake),
        stake_cap_micro_usd=before.stake_cap_micro_usd - at_stake,
        fund_cap_micro_usd=before.fund_cap_micro_usd - insured,
    )


def _drawn(before: Balance, amount: int) -> Balance:
    return replace(before, debits_posted=before.debits_posted + amount)
