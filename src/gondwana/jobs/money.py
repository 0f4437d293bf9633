"""What the life of a job posts to the ledger. Every function is part of its caller's transaction."""

from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import BudgetTooSmall, FundsTooLow
from gondwana.core.money import due_micro_usd, format_usd
from gondwana.db.settings import read_setting
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import store
from gondwana.jobs.model import Job, Unit, UnitState
from gondwana.jobs.rules import batch
from gondwana.ledger import budgets, rules
from gondwana.ledger.accounts import lease_escrow, task_escrow, tenant_available, tenant_promo
from gondwana.ledger.budgets import BudgetStatus
from gondwana.ledger.frozen import frozen_because
from gondwana.ledger.model import (
    Assignment,
    Balance,
    Evaluation,
    Funding,
    LeaseTerms,
    Shares,
    TaskTerms,
)
from gondwana.ledger.store import balance, post
from gondwana.market import store as market
from gondwana.market.model import Charge, Lease, LeaseState
from gondwana.market.rules import RUNWAY_SECONDS
from gondwana.supply import store as supply
from gondwana.wire.units import UnitKind

TOP_UP_BELOW_SECONDS: Final = 600  # an escrow with less runway is topped up
SHARES_SETTING: Final = "shares"


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
        funding = _funding(tx, now, job, amount_micro_usd)
        post(tx, rules.open_task(_task(job), amount_micro_usd, funding), now)


def open_lease(tx: Transaction, now: Instant, lease: Lease, job: Job) -> None:
    """Set aside an hour of a lease that is paid by the second, or what is left of the job's budget if that is less.

    Raises FundsTooLow where nothing can be set aside.
    """
    if lease.charge is not Charge.SECOND or lease.price_micro_usd_per_hour == 0:
        return
    amount = _runway_micro_usd(tx, now, lease, job)
    if amount <= 0:
        raise FundsTooLow(f"the budget of {format_usd(job.spec.budget_micro_usd or 0)} is used up")
    funding = _funding(tx, now, job, amount)
    terms = _lease(tx, lease, job)
    post(tx, rules.open_lease(terms, amount, funding), now)
    paid = rules.runway_seconds(terms, 0, balance(tx, lease_escrow(lease.id)))
    stands = batch.runway(job.spec, proven_seconds=0, paid_seconds=paid, gap_seconds=0.0)
    market.notice(tx, now, lease, stands, paid_seconds=paid)  # little money is watched closely


def meter(tx: Transaction, now: Instant, lease: Lease, job: Job) -> int:
    """Post what the lease's proven seconds cost, and top its escrow up where it may be: the seconds still paid for."""
    if lease.price_micro_usd_per_hour == 0:
        return rules.RUNWAY_SECONDS_MAX
    terms, account = _lease(tx, lease, job), lease_escrow(lease.id)
    entry = rules.meter(terms, lease.seconds_proven, balance(tx, account))
    if entry.legs:
        post(tx, entry, now)
    escrow = balance(tx, account)
    runway = rules.runway_seconds(terms, lease.seconds_proven, escrow)
    if runway >= TOP_UP_BELOW_SECONDS:
        return runway
    amount = _runway_micro_usd(tx, now, lease, job)
    if amount > 0:
        funding = _funding(tx, now, job, amount)
        post(tx, rules.top_up(terms, amount, funding, key=str(escrow.credits_posted)), now)
    return rules.runway_seconds(terms, lease.seconds_proven, balance(tx, account))


def close_lease(tx: Transaction, now: Instant, lease: Lease) -> None:
    """The last metering of a lease, and the rest back to the tenant."""
    escrow = balance(tx, lease_escrow(lease.id))
    if lease.charge is Charge.SECOND and escrow.credits_posted:
        terms = _lease(tx, lease, store.job(tx, lease.job_id))
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
    """What a job has cost its tenant so far: accepted units, or proven seconds as far as its escrows reached."""
    if job.spec.train:
        counts = store.unit_counts(reader, job_id=job.id)
        return sum(row["price_micro_usd"] for row in counts if row["state"] == UnitState.ACCEPTED)
    return sum(_paid_of_lease(reader, lease) for lease in market.leases_of_job(reader, job.id))


def _paid_of_lease(reader: Reader, lease: Lease) -> int:
    due = due_micro_usd(lease.price_micro_usd_per_hour, lease.seconds_proven)
    return min(due, balance(reader, lease_escrow(lease.id)).credits_posted)


def earned_micro_usd(reader: Reader, machine_id: str) -> int:
    """What its owner earned by a machine, after the network's parts: accepted units and proven seconds."""
    return store.earned_by_units(reader, machine_id) + store.earned_by_seconds(reader, machine_id)


def _runway_micro_usd(tx: Transaction, now: Instant, lease: Lease, job: Job) -> int:
    """An hour of the lease, or an even part of what the tightest budget and the account still allow."""
    seconds = int(min(RUNWAY_SECONDS, job.spec.seconds_max))
    runway = max(
        1, due_micro_usd(lease.price_micro_usd_per_hour, seconds)
    )  # a short run is not free
    limits = budgets.limiting(tx, lease.tenant_id, job.spec.project, now)
    allowed = [available(tx, lease.tenant_id), *(limit.left_micro_usd for limit in limits)]
    if job.spec.budget_micro_usd is not None:
        allowed.append(_left_of_job(tx, job))
    unopened = sum(
        other.state is LeaseState.RESERVED for other in market.leases_of_job(tx, job.id, live=True)
    )
    return min(runway, min(allowed) // max(1, unopened))


def _left_of_job(tx: Transaction, job: Job) -> int:
    """What of a job's own budget is neither paid nor set aside."""
    used = 0
    for other in market.leases_of_job(tx, job.id):
        if other.state is LeaseState.CLOSED:
            used += _paid_of_lease(tx, other)
        elif other.state is not LeaseState.RESERVED:
            used += balance(tx, lease_escrow(other.id)).credits_posted
    return (job.spec.budget_micro_usd or 0) - used


def _funding(tx: Transaction, now: Instant, job: Job, amount_micro_usd: int) -> Funding:
    """Where an escrow's money comes from: what the tenant was given first; and what it counts against."""
    promo = balance(tx, tenant_promo(job.tenant_id)).available_micro_usd
    limits = budgets.limiting(tx, job.tenant_id, job.spec.project, now)
    return Funding(
        promo_micro_usd=min(promo, amount_micro_usd), budgets=budgets.fit(tx, now, limits)
    )


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


def _lease(reader: Reader, lease: Lease, job: Job) -> LeaseTerms:
    return LeaseTerms(
        lease_id=lease.id,
        tenant_id=lease.tenant_id,
        provider_id=supply.machine(reader, lease.machine_id).owner_id,
        price_micro_usd_per_hour=lease.price_micro_usd_per_hour,
        shares=job.shares,
        job_id=lease.job_id,
    )


def _assignment(reader: Reader, unit: Unit) -> Assignment:
    assert unit.machine_id is not None, "an assigned unit has a machine"
    owner = supply.machine(reader, unit.machine_id).owner_id
    return Assignment(unit_id=unit.id, provider_id=owner, price_micro_usd=unit.price_micro_usd)
