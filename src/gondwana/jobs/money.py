"""What the life of a job posts to the ledger. Every function is part of its caller's transaction."""

from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import FundsTooLow
from gondwana.core.money import due_micro_usd, format_usd
from gondwana.db.settings import read_setting
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import store
from gondwana.jobs.model import Job, Unit, UnitState
from gondwana.ledger import rules
from gondwana.ledger.accounts import lease_escrow, task_escrow, tenant_available
from gondwana.ledger.model import Assignment, Balance, Evaluation, LeaseTerms, Shares, TaskTerms
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
    """What a tenant can spend."""
    return balance(reader, tenant_available(tenant_id)).available_micro_usd


def hold_job(tx: Transaction, now: Instant, job: Job, amount_micro_usd: int) -> None:
    """At launch: set a training job's budget aside; for a batch job see that its first hour is there.

    Raises FundsTooLow.
    """
    have = available(tx, job.tenant_id)
    if have < amount_micro_usd:
        raise FundsTooLow(
            f"the job needs {format_usd(amount_micro_usd)} set aside, the account has {format_usd(have)}",
            hint="gondwana account deposit, or lower gondwana.budget_usd",
        )
    if job.spec.train and amount_micro_usd > 0:
        post(tx, rules.open_task(_task(job), amount_micro_usd), now)


def open_lease(tx: Transaction, now: Instant, lease: Lease, job: Job) -> None:
    """Set aside an hour of a lease that is paid by the second, or what is left of the job's budget if that is less.

    Raises FundsTooLow where nothing can be set aside.
    """
    if lease.charge is not Charge.SECOND or lease.price_micro_usd_per_hour == 0:
        return
    amount = _runway_micro_usd(tx, lease, job)
    if amount <= 0:
        raise FundsTooLow(f"the budget of {format_usd(job.spec.budget_micro_usd or 0)} is used up")
    post(tx, rules.open_lease(_lease(tx, lease, job), amount), now)


def meter(tx: Transaction, now: Instant, lease: Lease, job: Job) -> bool:
    """Post what the lease's proven seconds cost; whether its escrow, topped up where it may be, still pays for more."""
    if lease.price_micro_usd_per_hour == 0:
        return True
    terms, account = _lease(tx, lease, job), lease_escrow(lease.id)
    entry = rules.meter(terms, lease.seconds_proven, balance(tx, account))
    if entry.legs:
        post(tx, entry, now)
    escrow = balance(tx, account)
    if rules.runway_seconds(terms, lease.seconds_proven, escrow) < TOP_UP_BELOW_SECONDS:
        amount = min(_runway_micro_usd(tx, lease, job), available(tx, lease.tenant_id))
        if amount > 0:
            post(tx, rules.top_up(terms, amount, key=str(escrow.credits_posted)), now)
            escrow = balance(tx, account)
    return escrow.available_micro_usd > 0


def close_lease(tx: Transaction, now: Instant, lease: Lease) -> None:
    """The last metering of a lease, and the rest back to the tenant."""
    escrow = balance(tx, lease_escrow(lease.id))
    if lease.charge is Charge.SECOND and escrow.credits_posted:
        entry = rules.close_lease(
            _lease(tx, lease, store.job(tx, lease.job_id)), lease.seconds_proven, escrow
        )
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
        post(tx, rules.close_task(_task(job), escrow), now)


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


def _runway_micro_usd(tx: Transaction, lease: Lease, job: Job) -> int:
    """An hour of the lease, or an even part of what the budget still allows."""
    seconds = int(min(RUNWAY_SECONDS, job.spec.seconds_max))
    runway = max(
        1, due_micro_usd(lease.price_micro_usd_per_hour, seconds)
    )  # a short run is not free
    if job.spec.budget_micro_usd is None:
        return min(runway, available(tx, lease.tenant_id))
    used = 0
    unopened = 0
    for other in market.leases_of_job(tx, job.id):
        if other.state is LeaseState.CLOSED:
            used += _paid_of_lease(tx, other)
        elif other.state is LeaseState.RESERVED:
            unopened += 1
        else:
            used += balance(tx, lease_escrow(other.id)).credits_posted
    left = job.spec.budget_micro_usd - used
    return min(runway, left // max(1, unopened), available(tx, lease.tenant_id))


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
