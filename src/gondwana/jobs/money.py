"""What the life of a job posts to the ledger. Every function is part of its caller's transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import BudgetTooSmall, FundsTooLow
from gondwana.core.ids import JobId, PrincipalId
from gondwana.core.money import format_usd
from gondwana.db.settings import read_setting
from gondwana.db.together import Asked, together
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import store
from gondwana.jobs.model import Job, Unit, UnitState
from gondwana.jobs.purse import Purses, tenant_accounts
from gondwana.jobs.rules import batch
from gondwana.jobs.rules.batch import Runway
from gondwana.ledger import budgets, rules
from gondwana.ledger.accounts import lease_escrow, task_escrow, tenant_available, tenant_promo
from gondwana.ledger.budgets import BudgetStatus
from gondwana.ledger.frozen import frozen_because
from gondwana.ledger.model import (
    Assignment,
    Balance,
    Entry,
    Evaluation,
    LeaseTerms,
    Shares,
    TaskTerms,
)
from gondwana.ledger.store import Books, balance, balances, books_asked, post, post_all
from gondwana.market import store as market
from gondwana.market.calendar import store as calendar
from gondwana.market.model import Charge, Lease, LeaseState
from gondwana.supply import store as supply
from gondwana.wire.units import UnitKind

TOP_UP_BELOW_SECONDS: Final = 600  # an escrow with less runway is topped up
SHARES_SETTING: Final = "shares"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What became of some reservations; those that are in neither wait."""

    leases: list[Lease] = field(
        default_factory=list[Lease]
    )  # their escrows are filled, or cost nothing
    refused: dict[str, Lease] = field(
        default_factory=dict[str, Lease]
    )  # job -> its lease that nothing is left for
    short: list[tuple[Lease, Runway, int]] = field(
        default_factory=list[tuple[Lease, Runway, int]]
    )  # with the seconds that are paid for, where those are few


def shares(reader: Reader) -> Shares:
    """The network's parts of each payment; a job keeps those it was launched under."""
    return read_setting(reader, SHARES_SETTING, Shares, default=Shares())


def available(reader: Reader, tenant_id: str) -> int:
    """What a tenant can spend: his own money and what he was given; nothing while the account is frozen."""
    if frozen_because(reader, tenant_id) is not None:
        return 0
    own = balance(reader, tenant_available(tenant_id)).available_micro_usd
    return own + balance(reader, tenant_promo(tenant_id)).available_micro_usd


def hold_job(tx: Transaction, now: Instant, job: Job, amount_micro_usd: int) -> None:
    """At launch: set a training job's budget aside; for a batch job see that its first hour is there.

    Raises FundsTooLow, and BudgetTooSmall where a budget of the tenant or the project does not allow it.
    """
    have = available(tx, job.tenant_id)
    if have < amount_micro_usd:
        raise FundsTooLow(
            f"the job needs {format_usd(amount_micro_usd)} set aside, the account has {format_usd(have)}",
            hint="gondwana account deposit, or lower gondwana.budget_usd",
        )
    for limit in budgets.limiting(tx, job.tenant_id, job.spec.project, now):
        if limit.left_micro_usd < amount_micro_usd:
            raise _over_budget(limit, amount_micro_usd)
    if job.spec.train and amount_micro_usd > 0:
        funding = Purses(tx, now, [job], {}).take(job, amount_micro_usd)
        post(tx, rules.open_task(_task(job), amount_micro_usd, funding), now)


def open_leases(
    tx: Transaction,
    now: Instant,
    reserved: Sequence[Lease],
    jobs: Mapping[JobId, Job],
    leases: Mapping[JobId, Sequence[Lease]],
    owners: Mapping[str, PrincipalId],
) -> Opened:
    """Set aside an hour of each lease that is paid by the second, or what is left of the job's budget if that is less.

    `jobs`: of the leases; `leases`: all of each job; `owners`: of their machines. One after the other: what one takes
    is gone for the next. A job for whose lease nothing can be set aside gets none of its others opened; it is the
    caller's to end. Where its end gives money back, its tenant's later leases wait for that.
    """
    theirs = [jobs[lease.job_id] for lease in reserved]
    stored, books = together(tx, Purses.asked(theirs), _books_asked(reserved))
    purses = Purses(tx, now, theirs, leases, stored)
    opened = Opened()
    unopened = {
        job_id: sum(each.state is LeaseState.RESERVED for each in leases[job_id])
        for job_id in {lease.job_id for lease in reserved}
    }
    waiting, entries = set[str](), list[Entry]()
    for lease in reserved:
        job = jobs[lease.job_id]
        if job.id in opened.refused or lease.tenant_id in waiting:
            continue
        if lease.charge is Charge.SECOND and lease.price_micro_usd_per_hour:
            amount = purses.part_micro_usd(job, lease, unopened=unopened[job.id])
            if amount <= 0:
                opened.refused[job.id] = lease
                if any(each.state is not LeaseState.RESERVED for each in leases[job.id]):
                    waiting.add(lease.tenant_id)
                continue
            terms = _lease(lease, job, owners[lease.machine_id])
            entries.append(rules.open_lease(terms, amount, purses.take(job, amount)))
            paid = rules.runway_seconds(terms, 0, Balance(credits_posted=amount))
            stands = batch.runway(job.spec, proven_seconds=0, paid_seconds=paid, gap_seconds=0.0)
            if stands is not Runway.FINE:
                opened.short.append((lease, stands, paid))
        unopened[job.id] -= 1
        opened.leases.append(lease)
    post_all(tx, entries, now, books=books, spoils=True)
    return opened


def _books_asked(reserved: Sequence[Lease]) -> Asked[Books]:
    """What the books have of all that opening these leases touches, but for budgets; not asked yet."""
    paid = [lease for lease in reserved if lease.charge is Charge.SECOND]
    tenants = dict.fromkeys(lease.tenant_id for lease in paid)
    names = dict.fromkeys(name for lease in paid for name in (lease.id, lease.job_id))
    return books_asked(
        [rules.lease_event(rules.OPENS, lease.id) for lease in paid],
        [*tenant_accounts(tenants), *(lease_escrow(lease.id) for lease in paid)],
        [rules.OPENS, *names],
    )


def tell_short(tx: Transaction, now: Instant, opened: Opened) -> None:
    """Tell the tenants of leases that were opened with little money: it is watched closely."""
    for lease, stands, paid in opened.short:
        market.notice(tx, now, lease, stands, paid_seconds=paid)


def meter(
    tx: Transaction, now: Instant, leases: Sequence[Lease], jobs: Mapping[JobId, Job]
) -> dict[str, int]:
    """Post what proven seconds cost, and top escrows up where they may be: the seconds still paid for, by lease."""
    owners = supply.owners(tx, list({lease.machine_id for lease in leases}))
    escrows = balances(tx, [lease_escrow(lease.id) for lease in leases])
    paid: dict[str, int] = {}
    entries = list[Entry]()
    low: list[tuple[Lease, LeaseTerms]] = []
    for lease in leases:
        if lease.price_micro_usd_per_hour == 0 and lease.due_before_micro_usd == 0:
            paid[lease.id] = rules.RUNWAY_SECONDS_MAX
            continue
        escrow = escrows[lease_escrow(lease.id)]
        terms = _lease(lease, jobs[lease.job_id], owners[lease.machine_id])
        entry = rules.meter(terms, lease.seconds_proven, escrow)
        if entry.legs:
            entries.append(entry)
        paid[lease.id] = rules.runway_seconds(terms, lease.seconds_proven, escrow)
        if paid[lease.id] < TOP_UP_BELOW_SECONDS:
            low.append((lease, terms))
    post_all(tx, entries, now)
    for lease, terms in low:
        paid[lease.id] = _top_up(tx, now, lease, jobs[lease.job_id], terms)
    return paid


def _top_up(tx: Transaction, now: Instant, lease: Lease, job: Job, terms: LeaseTerms) -> int:
    """Set aside for a lease what may be now; the seconds that are paid for then."""
    escrow, others = balance(tx, lease_escrow(lease.id)), market.leases_of_job(tx, job.id)
    unopened = sum(other.state is LeaseState.RESERVED for other in others)
    purses = Purses(tx, now, [job], {job.id: others})
    amount = purses.part_micro_usd(job, lease, unopened=unopened)
    if amount > 0:
        funding = purses.take(job, amount)
        post(tx, rules.top_up(terms, amount, funding, key=str(escrow.credits_posted)), now)
        escrow = balance(tx, lease_escrow(lease.id))
    return rules.runway_seconds(terms, lease.seconds_proven, escrow)


def close_lease(tx: Transaction, now: Instant, lease: Lease) -> None:
    """The last metering of a lease, and the rest back to the tenant."""
    escrow = balance(tx, lease_escrow(lease.id))
    if lease.charge is Charge.SECOND and escrow.credits_posted:
        terms = _terms(tx, lease, store.job(tx, lease.job_id))
        drawn = budgets.draws(tx, lease_escrow(lease.id))
        entry = rules.close_lease(terms, lease.seconds_proven, escrow, drawn)
        if entry.legs:
            post(tx, entry, now)


def hold_unit(tx: Transaction, now: Instant, unit: Unit, job: Job) -> None:
    """Hold a unit's price when it is assigned; raises FundsTooLow where the job's escrow does not reach."""
    if unit.price_micro_usd:
        post(tx, rules.assign_unit(_task(job), _assignment(tx, unit)), now)


def accept_unit(tx: Transaction, now: Instant, unit: Unit, job: Job) -> None:
    """Pay for a unit, once: its provider, or its evaluator."""
    if not unit.price_micro_usd:
        return
    assignment = _assignment(tx, unit)
    if unit.kind is not UnitKind.EVALUATE:
        post(tx, rules.accept_unit(_task(job), assignment), now)
        return
    post(
        tx, rules.expire_unit(_task(job), assignment), now
    )  # the hold is released, and paid out whole just after
    evaluation = Evaluation(
        unit_id=unit.id, verifier_id=assignment.provider_id, price_micro_usd=unit.price_micro_usd
    )
    post(tx, rules.pay_evaluator(_task(job), evaluation), now)


def release_unit(tx: Transaction, now: Instant, unit: Unit, job: Job, *, to: UnitState) -> None:
    """Release the price of a unit that nobody is paid for."""
    if not unit.price_micro_usd:
        return
    assignment = _assignment(tx, unit)
    if to is UnitState.REJECTED:
        post(
            tx,
            rules.reject_unit(_task(job), assignment, reason=unit.verdict[:80] or "not accepted"),
            now,
        )
    else:
        post(tx, rules.expire_unit(_task(job), assignment), now)


def close_job(tx: Transaction, now: Instant, job: Job) -> None:
    """What is left of a training job's budget goes back to its tenant."""
    escrow = task_balance(tx, job)
    if escrow.available_micro_usd > 0:
        drawn = budgets.draws(tx, task_escrow(job.id))
        post(tx, rules.close_task(_task(job), escrow, drawn), now)


def task_balance(reader: Reader, job: Job) -> Balance:
    """A training job's escrow."""
    return balance(reader, task_escrow(job.id))


def paid_micro_usd(reader: Reader, job: Job) -> int:
    """What a job has cost its tenant so far: accepted units, or proven seconds as far as its escrows reached.

    With what a reservation cost that was cancelled late.
    """
    if job.spec.train:
        counts = store.unit_counts(reader, job_id=job.id)
        paid = sum(row["price_micro_usd"] for row in counts if row["state"] == UnitState.ACCEPTED)
    else:
        paid = sum(_paid_of_lease(reader, lease) for lease in market.leases_of_job(reader, job.id))
    if job.spec.market.starts_at is not None:
        paid += sum(each.kept_micro_usd for each in calendar.of_job(reader, job.id))
    return paid


def _paid_of_lease(reader: Reader, lease: Lease) -> int:
    return batch.paid_micro_usd(lease, balance(reader, lease_escrow(lease.id)).credits_posted)


def earned_micro_usd(reader: Reader, machine_id: str) -> int:
    """What its owner earned by a machine, after the network's parts: accepted units and proven seconds."""
    return store.earned_by_units(reader, machine_id) + store.earned_by_seconds(reader, machine_id)


def _over_budget(limit: BudgetStatus, amount_micro_usd: int) -> BudgetTooSmall:
    whose = f"project {limit.budget.project}" if limit.budget.project else "this account"
    when = "" if limit.period == rules.EVER else f" in {limit.period}"
    return BudgetTooSmall(
        f"the job needs {format_usd(amount_micro_usd)} set aside, the budget of {whose} has "
        f"{format_usd(limit.left_micro_usd)} left{when}",
        hint="gondwana budget list, then gondwana budget set, or wait for other jobs to end",
    )


def _task(job: Job) -> TaskTerms:
    return TaskTerms(job_id=job.id, tenant_id=job.tenant_id, shares=job.shares)


def _terms(reader: Reader, lease: Lease, job: Job) -> LeaseTerms:
    return _lease(lease, job, supply.machine(reader, lease.machine_id).owner_id)


def terms_of(id: str, job: Job, owner_id: PrincipalId, price_micro_usd_per_hour: int) -> LeaseTerms:
    """What the books need to know of something that is like a lease: a reservation."""
    return LeaseTerms(
        lease_id=id,
        tenant_id=job.tenant_id,
        provider_id=owner_id,
        price_micro_usd_per_hour=price_micro_usd_per_hour,
        shares=job.shares,
        job_id=job.id,
    )


def _lease(lease: Lease, job: Job, owner_id: str) -> LeaseTerms:
    return LeaseTerms(
        lease_id=lease.id,
        tenant_id=lease.tenant_id,
        provider_id=owner_id,
        price_micro_usd_per_hour=lease.price_micro_usd_per_hour,
        shares=job.shares,
        job_id=lease.job_id,
        due_before_micro_usd=lease.due_before_micro_usd,
        priced_from_seconds=lease.priced_from_seconds,
    )


def _assignment(reader: Reader, unit: Unit) -> Assignment:
    assert unit.machine_id is not None, "an assigned unit has a machine"
    owner = supply.machine(reader, unit.machine_id).owner_id
    return Assignment(unit_id=unit.id, provider_id=owner, price_micro_usd=unit.price_micro_usd)
