"""What may be spent: budgets and promotional credit are holds, low money is told, and nobody works unpaid."""

import pytest

from gondwana.core.errors import BudgetTooSmall, Conflict
from gondwana.core.values import replace
from gondwana.jobs import end, money
from gondwana.jobs import store as jobs
from gondwana.jobs.model import JobReason, JobState
from gondwana.jobs.rules.batch import End
from gondwana.ledger import budgets, rules
from gondwana.ledger.accounts import (
    fund_treasury,
    lease_escrow,
    tenant_available,
    tenant_promo,
)
from gondwana.ledger.audit import audit
from gondwana.ledger.model import BudgetPeriod
from gondwana.ledger.store import balance, post
from gondwana.market import store as market
from gondwana.market.model import LeaseState
from gondwana.supply import store as supply

DOLLAR = 1_000_000
HOUR = 3_600
PRICE = 3_600_000  # a thousandth of a dollar a second


@pytest.fixture(autouse=True)
def balanced(world):
    yield
    report = audit(world.reader)
    assert report.ok, report.differences


def limit(world, dollars, *, project="", period=BudgetPeriod.MONTH, is_operators=False):
    return world.write(
        budgets.set_budget, world.random, world.now, tenant_id=world.tenant, project=project, period=period,
        limit_micro_usd=round(dollars * DOLLAR), set_by=world.tenant, is_operators=is_operators,
    )  # fmt: skip


def status(world, budget):
    return budgets.status(world.reader, budget, world.now)


def promise(world, micro_usd):
    world.write(post, rules.treasury_deposit("bank", micro_usd, key="1"), world.now)
    world.write(post, rules.grant_promo(world.tenant, micro_usd, key="1", why="welcome"), world.now)


def has(world, account):
    return balance(world.reader, account).available_micro_usd


def lease_of(world, job):
    return market.leases_of_job(world.reader, job.id)[-1]


def prove(world, job, seconds):
    world.clock.advance(seconds)
    lease = lease_of(world, job)
    proved = replace(lease, proven_ms=lease.proven_ms + seconds * 1000, proven_at=world.now)
    world.write(market.prove, proved)
    for machine in supply.machines(world.reader, world.owner):
        world.write(supply.prove_life, machine.id, world.now)
    world.reconcile()


def cancel(world, job):
    how = End(state=JobState.CANCELLED, reason=JobReason.CANCELLED)
    world.write(end.end_job, world.now, jobs.job(world.reader, job.id), how)


def test_a_month_s_budget_counts_what_is_set_aside_and_frees_what_comes_back(world):
    world.join(price=PRICE)
    budget = limit(world, 5)
    job = world.submit()
    world.reconcile()
    assert status(world, budget).used_micro_usd == PRICE  # an hour
    prove(world, job, 600)
    cancel(world, job)
    assert status(world, budget).used_micro_usd == PRICE * 600 // HOUR
    assert status(world, budget).period == "2027-01"


def test_a_job_that_no_budget_allows_is_refused_before_anything_is_set_aside(world, make):
    world.join(price=PRICE)
    limit(world, 100)
    limit(world, 1, project="vision", period=BudgetPeriod.EVER)
    with pytest.raises(BudgetTooSmall, match=r"project vision has \$1\.00 left"):
        world.submit(make.spec(project="vision"))
    assert world.submit(make.spec(project="speech")).state is JobState.ADMITTED
    assert world.submit(make.spec()).state is JobState.ADMITTED


def test_two_jobs_together_cannot_pass_a_budget_that_each_of_them_keeps(world):
    for name in ("kauri", "rimu"):
        world.join(name, price=PRICE)
    budget = limit(world, 5)
    first, second = world.submit(), world.submit()
    world.reconcile()
    escrows = [has(world, lease_escrow(lease_of(world, job).id)) for job in (first, second)]
    assert sum(escrows) == 5 * DOLLAR
    assert status(world, budget).left_micro_usd == 0
    for _ in range(60):
        prove(world, first, 120)
    assert jobs.job(world.reader, first.id).reason is JobReason.FUNDS_GONE
    assert money.paid_micro_usd(world.reader, first) <= 5 * DOLLAR
    assert status(world, budget).used_micro_usd <= 5 * DOLLAR


def test_a_new_month_has_its_own_budget_and_the_old_one_gets_its_own_back(world):
    world.join(price=PRICE)
    budget = limit(world, 5)
    job = world.submit()
    world.reconcile()
    world.clock.advance(40 * 86_400)
    assert status(world, budget).used_micro_usd == 0
    cancel(world, job)
    assert status(world, budget).used_micro_usd == 0
    old = balance(world.reader, f"budget:{budget.id}.2027-01:left")
    assert old.available_micro_usd == 5 * DOLLAR


def test_a_lowered_budget_takes_back_what_escrows_return(world):
    world.join(price=PRICE)
    budget = limit(world, 5)
    job = world.submit()
    world.reconcile()
    budget = limit(world, 1)
    assert status(world, budget).left_micro_usd == 0
    cancel(world, job)
    assert status(world, budget).left_micro_usd == DOLLAR
    with pytest.raises(BudgetTooSmall):
        world.submit()


def test_a_tenant_cannot_lift_what_the_operator_set(world):
    limit(world, 5, is_operators=True)
    with pytest.raises(Conflict, match="operator"):
        limit(world, 50)
    with pytest.raises(Conflict, match="operator"):
        world.write(
            budgets.remove_budget, world.now, tenant_id=world.tenant, project="", period=BudgetPeriod.MONTH,
            is_operators=False,
        )  # fmt: skip


def test_promotional_credit_is_spent_first_and_its_rest_comes_back_as_such(world):
    promise(world, 1_000_000)
    world.join(price=PRICE)
    before = has(world, tenant_available(world.tenant))
    job = world.submit()
    world.reconcile()
    assert has(world, tenant_promo(world.tenant)) == 0
    prove(world, job, 100)  # a tenth of a dollar
    cancel(world, job)
    assert has(world, tenant_promo(world.tenant)) == 900_000
    assert has(world, tenant_available(world.tenant)) == before
    assert has(world, fund_treasury()) == 0


def test_units_on_ones_own_machine_cost_nothing_so_nobody_pays_himself_with_promotional_credit(
    world, make
):
    promise(world, 1_000_000)
    world.join(owner_id=world.tenant, price=PRICE)
    job = world.submit(make.train_spec())
    world.reconcile()
    (unit,) = jobs.units_of_job(world.reader, job.id)
    assert unit.price_micro_usd == 0
    cancel(world, job)
    assert has(world, tenant_promo(world.tenant)) == 1_000_000


def test_what_promotional_credit_does_not_cover_is_the_tenants_own(world):
    promise(world, 50_000)
    world.join(price=PRICE)
    before = has(world, tenant_available(world.tenant))
    job = world.submit()
    world.reconcile()
    prove(world, job, 100)
    cancel(world, job)
    assert has(world, tenant_promo(world.tenant)) == 0
    assert has(world, tenant_available(world.tenant)) == before - 50_000


def test_a_training_s_budget_is_drawn_and_given_back_the_same_way(world, make):
    promise(world, 1_000_000)
    world.join(price=PRICE)
    budget = limit(world, 100)
    spec = make.train_spec()
    job = world.submit(spec)
    held = money.task_balance(world.reader, job).available_micro_usd
    assert status(world, budget).used_micro_usd == held
    cancel(world, job)
    assert status(world, budget).used_micro_usd == 0
    assert has(world, tenant_promo(world.tenant)) == 1_000_000


def test_low_money_is_told_once_then_the_near_end_then_it_stops_and_no_second_is_unpaid(
    world, make
):
    world.join(price=PRICE)
    job = world.submit(make.spec(budget_micro_usd=PRICE))  # an hour
    world.reconcile()
    lease = lease_of(world, job)
    told = []
    for _ in range(400):
        if lease_of(world, job).state is LeaseState.CLOSED:
            break
        prove(world, job, 5 if has(world, lease_escrow(lease.id)) < PRICE // 10 else 60)
        told = [kind for kind in world.kinds(lease.id) if kind.startswith("lease.runway")]
    closed = lease_of(world, job)
    assert told == ["lease.runway_low", "lease.runway_drain"]
    assert jobs.job(world.reader, job.id).reason is JobReason.FUNDS_GONE
    assert closed.proven_ms // 1000 <= HOUR  # every proven second was paid
    paid = money.paid_micro_usd(world.reader, job)
    assert paid == PRICE * closed.seconds_proven // HOUR


def test_a_run_whose_whole_time_is_paid_is_not_warned(world, make):
    world.join(price=PRICE)
    job = world.submit(make.spec(seconds_max=30.0))
    world.reconcile()
    prove(world, job, 20)
    lease = lease_of(world, job)
    assert lease.state is LeaseState.ACTIVE
    assert [kind for kind in world.kinds(lease.id) if "runway" in kind] == []


def test_a_lease_ends_however_often_its_tenant_set_his_budgets_anew_meanwhile(world):
    world.join(price=PRICE)
    job = world.submit()
    limit(world, 0.5)
    world.reconcile()
    for _ in range(70):
        world.write(
            budgets.remove_budget, world.now, tenant_id=world.tenant, project="", period=BudgetPeriod.MONTH,
            is_operators=False,
        )  # fmt: skip
        newest = limit(world, 0.001)
        prove(world, job, 1)
        world.clock.advance(10)
        world.reconcile()
    escrow = has(world, lease_escrow(lease_of(world, job).id))
    assert escrow == DOLLAR // 2  # 70 seconds were paid, and 70 fillings of as many budgets came in
    before = has(world, tenant_available(world.tenant))
    cancel(world, job)
    assert lease_of(world, job).state is LeaseState.CLOSED
    assert has(world, tenant_available(world.tenant)) == before + escrow
    assert status(world, newest).used_micro_usd == 0
