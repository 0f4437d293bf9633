"""Slashes that time decides, stakes that time frees, and work that waits for a stake."""

import json

import pytest

from gondwana.core.errors import ExposureTooHigh
from gondwana.db.settings import write_setting
from gondwana.jobs import rounds, units
from gondwana.jobs import store as jobs
from gondwana.jobs.model import Phase, UnitState
from gondwana.jobs.report import heartbeat, unit_report
from gondwana.ledger import exposure, slashes, stakes
from gondwana.ledger.accounts import provider_holdback, provider_payable, stake
from gondwana.ledger.cases import SlashState, SlashTerms, StakeSettings
from gondwana.ledger.rules import (
    APPEAL_SECONDS,
    DECIDE_SECONDS,
    UNBONDING_SECONDS,
    UNLIMITED_MICRO_USD,
    RiskSettings,
)
from gondwana.ledger.store import balance
from gondwana.loops.release_stakes import release_stakes
from gondwana.loops.settle_cases import settle_cases
from gondwana.market import store as market
from gondwana.policy.model import Scope
from gondwana.sim.learning import make_shard, work
from gondwana.supply.model import MachineState
from gondwana.wire.agent import UnitReport
from gondwana.wire.units import UnitKind

USD = 1_000_000
NOTHING = RiskSettings(allowance_micro_usd=0)


def put_at_stake(world, usd, owner=None):
    key = world.random.token(8).hex()
    world.write(
        stakes.add_stake, world.now, owner or world.owner, usd * USD, key=key, rail="manual"
    )


def accuse(world, name, usd=1):
    terms = SlashTerms(case_id=name, provider_id=world.owner, amount_micro_usd=usd * USD, reason="no")  # fmt: skip
    world.write(slashes.open_slash, world.now, terms, evidence={})


def states(world, *names):
    return [slashes.case(world.reader, name).state for name in names]


# -- cases that time decides


def test_silence_decides_each_case_once_its_own_time_is_over(world):
    put_at_stake(world, 10)
    accuse(world, "case_early")
    world.clock.advance(APPEAL_SECONDS / 2)
    accuse(world, "case_late")
    accuse(world, "case_heard")
    world.write(slashes.appeal, world.now, "case_heard", world.owner, "no")
    world.clock.advance(APPEAL_SECONDS / 2)
    assert settle_cases(world.context, world.now) == 1
    names = "case_early", "case_late", "case_heard"
    assert states(world, *names) == ["upheld", "proposed", "appealed"]
    world.clock.advance(DECIDE_SECONDS)
    assert settle_cases(world.context, world.now) == 2
    assert states(world, *names) == ["upheld", "upheld", "reversed"]
    assert settle_cases(world.context, world.now) == 0
    assert balance(world.reader, stake(world.owner)).available_micro_usd == 8 * USD


def test_a_case_that_cannot_be_settled_does_not_hold_up_the_others(world):
    put_at_stake(world, 10)
    accuse(world, "case_broken")
    accuse(world, "case_fine")
    world.write(lambda tx: tx.execute("UPDATE slash_case SET reports = '[1]' WHERE id = 'case_broken'"))  # fmt: skip
    world.clock.advance(APPEAL_SECONDS)
    assert settle_cases(world.context, world.now) == 1
    assert states(world, "case_fine") == ["upheld"]


def test_a_stake_is_released_by_itself_and_waits_while_a_slash_holds_it(world):
    put_at_stake(world, 10)
    world.write(stakes.unbond, world.random, world.now, world.owner, 10 * USD)
    accuse(world, "case_1", usd=4)
    world.write(slashes.appeal, world.now, "case_1", world.owner, "no")
    world.clock.advance(UNBONDING_SECONDS)
    release_stakes(world.context, world.now)
    payable = provider_payable(world.owner)
    assert balance(world.reader, payable).available_micro_usd == 0
    world.write(slashes.decide, world.now, "case_1", SlashState.UPHELD, "yes")
    assert release_stakes(world.context, world.now) == 1
    assert balance(world.reader, payable).available_micro_usd == 6 * USD
    assert release_stakes(world.context, world.now) == 0


# -- exposure


class Run:
    """A training run on machines that deliver when the test says so."""

    def __init__(self, world, make, owners):
        self.world, self.names = world, tuple(owners)
        for name, owner in owners.items():
            world.join(name, owner_id=owner)
        shards = [world.blobs.put(make_shard(7, number)) for number in range(20)]
        spec = make.spec(
            run="",
            workdir=world.blobs.put(b"code"),
            train=make.train(
                shards=tuple(shards[:-2]), heldout=tuple(shards[-2:]), rounds=2, warm_rounds=0,
                islands_min=len(owners), islands_max=len(owners), window_seconds=10.0, inner_steps=20, codec="fp32",
            ),
        )  # fmt: skip
        self.id = world.submit(spec).id
        world.reconcile()

    @property
    def phase(self):
        return jobs.training(self.world.reader, self.id).phase

    def units(self, **wanted):
        found = jobs.units_of_job(self.world.reader, self.id)
        return [one for one in found if all(getattr(one, key) == wanted[key] for key in wanted)]

    def deliver(self, unit):
        lease = market.lease(self.world.reader, unit.lease_id)
        output, result = work(unit.spec, self.world.blobs.read, 2.0)
        report = UnitReport(
            number=1, unit_id=unit.id, lease_id=lease.id, epoch=lease.epoch, result=result,
            output=None if output is None else self.world.blobs.put(output),
        )  # fmt: skip
        self.world.write(unit_report, self.world.blobs, self.world.now, unit.machine_id, report)

    def step(self):
        self.world.clock.advance(2.0)
        for name in self.names:
            self.world.write(heartbeat, self.world.now, f"mac_{name}", ())
        for unit in self.units(state=UnitState.ASSIGNED):
            self.deliver(unit)
        self.world.reconcile()

    def until(self, phase):
        for _ in range(60):
            if self.phase is phase:
                return
            self.step()
        raise AssertionError(self.phase)


@pytest.fixture
def rival(world):
    """A second owner."""
    return world.principal("rival", Scope.PROVIDER)


def limit(world, settings):
    world.write(write_setting, "risk", settings, at=world.now)


def test_what_an_owner_holds_unverified_are_the_prices_held_for_him(world, make):
    run = Run(world, make, {"kauri": world.owner})
    (unit,) = run.units()
    held = exposure.unverified_micro_usd(world.reader, world.owner)
    assert 0 < held <= unit.price_micro_usd
    assert exposure.room_micro_usd(world.reader, world.owner, RiskSettings()) == 25 * USD - held
    assert exposure.may_hold(world.reader, world.owner, 25 * USD - held, RiskSettings())
    assert not exposure.may_hold(world.reader, world.owner, 25 * USD - held + 1, RiskSettings())
    run.deliver(unit)
    assert exposure.unverified_micro_usd(world.reader, world.owner) == held, (
        "delivered is not judged"
    )
    world.reconcile()
    assert balance(world.reader, provider_holdback(world.owner)).posted_micro_usd == held


def test_where_checks_alone_deter_nothing_is_limited(world):
    everything = RiskSettings(check_ppm=1_000_000)
    assert exposure.room_micro_usd(world.reader, world.owner, everything) == UNLIMITED_MICRO_USD


def test_what_a_slash_holds_no_longer_stands_for_new_work(world):
    put_at_stake(world, 10)
    before = exposure.room_micro_usd(world.reader, world.owner, NOTHING)
    assert before > 0
    accuse(world, "case_1", usd=10)
    assert exposure.room_micro_usd(world.reader, world.owner, NOTHING) == 0


def test_an_owner_without_room_gets_no_unit_until_he_puts_down_a_stake(world, make):
    limit(world, NOTHING)
    run = Run(world, make, {"kauri": world.owner})
    assert run.units() == []
    job = jobs.job(world.reader, run.id)
    (island,) = jobs.islands(world.reader, run.id)
    with pytest.raises(ExposureTooHigh) as refused:
        world.write(units.assign_init, world.random, world.now, job, island)
    assert refused.value.hint == "gondwana stake add"
    put_at_stake(world, 10)
    world.reconcile(1.0)
    assert len(run.units()) == 1


def test_a_round_goes_on_without_the_islands_of_who_has_no_room(world, make, rival):
    limit(world, NOTHING)
    put_at_stake(world, 10, rival)
    run = Run(world, make, {"kauri": world.owner, "rimu": rival, "totara": rival})
    run.until(Phase.EVALUATE)
    run.until(Phase.DONE)
    assert {unit.machine_id for unit in run.units(kind=UnitKind.TRAIN)} == {
        "mac_rimu",
        "mac_totara",
    }
    assert all(unit.machine_id != "mac_kauri" for unit in run.units())


def test_a_round_that_nobody_may_judge_waits_for_its_deadline_and_then_goes_on(world, make):
    run = Run(world, make, {"kauri": world.owner, "rimu": world.owner})
    run.until(Phase.TRAIN)
    world.reconcile()
    for unit in run.units(state=UnitState.ASSIGNED):
        run.deliver(unit)
    limit(world, NOTHING)
    world.reconcile()
    assert run.phase is Phase.EVALUATE
    assert run.units(kind=UnitKind.EVALUATE) == []
    deadline = jobs.training(world.reader, run.id).deadline
    world.clock.advance(deadline - world.now)
    for name in run.names:
        world.write(heartbeat, world.now, f"mac_{name}", ())
    world.reconcile()
    assert run.phase is Phase.TRAIN


# -- machines that deliver what is rejected


def reject(world, run, times):
    """So many units of the run's machine, each delivered and rejected."""
    for _ in range(times):
        if not run.units(state=UnitState.ASSIGNED):
            world.reconcile()
        (unit,) = run.units(state=UnitState.ASSIGNED)
        run.deliver(unit)
        delivered = jobs.unit(world.reader, unit.id)
        world.write(rounds.reject_unit, world.now, delivered, "norm_too_large")
    return unit


def take(world, micro_usd):
    settings = StakeSettings(slash_micro_usd_per_rejection=micro_usd)
    world.write(write_setting, "stakes", settings, at=world.now)


def test_a_suspended_machine_costs_its_owner_what_the_network_says_and_he_may_appeal(world, make):
    take(world, 2 * USD)
    put_at_stake(world, 10)
    run = Run(world, make, {"kauri": world.owner})
    last = reject(world, run, 3)
    assert world.machine().state is MachineState.SUSPENDED
    (case,) = slashes.cases(world.reader, world.owner, limit=10)
    assert (case.state, case.unit_id, case.job_id) == (SlashState.PROPOSED, last.id, run.id)
    assert (case.held_micro_usd, case.made_whole_micro_usd) == (6 * USD, 0)
    told = json.loads(case.evidence)
    assert [unit["verdict"] for unit in told["units"]] == ["norm_too_large"] * 3
    assert {unit["id"] for unit in told["units"]} == {unit.id for unit in run.units()}
    world.write(slashes.appeal, world.now, case.id, world.owner, "my driver was broken")


def test_no_case_is_made_while_the_network_takes_nothing_or_the_owner_has_nothing(world, make):
    put_at_stake(world, 10)
    run = Run(world, make, {"kauri": world.owner})
    reject(world, run, 3)
    assert world.machine().state is MachineState.SUSPENDED
    assert slashes.cases(world.reader, None, limit=10) == []


def test_an_owner_who_has_nothing_is_suspended_all_the_same(world, make):
    take(world, 2 * USD)
    run = Run(world, make, {"kauri": world.owner})
    reject(world, run, 3)
    assert world.machine().state is MachineState.SUSPENDED
    assert slashes.cases(world.reader, None, limit=10) == []


def test_a_slash_for_rejections_takes_no_more_than_there_is(world, make):
    take(world, 100 * USD)
    put_at_stake(world, 3)
    reject(world, Run(world, make, {"kauri": world.owner}), 3)
    (case,) = slashes.cases(world.reader, world.owner, limit=10)
    assert (case.amount_micro_usd, case.held_micro_usd) == (300 * USD, 3 * USD)
