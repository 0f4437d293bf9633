"""Subsidies over the real books, on both databases: who is given what, and that no fraud pays."""

import pytest

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, WrongState
from gondwana.core.values import replace
from gondwana.db.errors import Denied
from gondwana.jobs import capacity, end
from gondwana.jobs import store as jobs
from gondwana.jobs.model import JobReason, JobState, UnitState
from gondwana.jobs.report import heartbeat
from gondwana.jobs.rules.batch import End
from gondwana.ledger import rules, subsidies, treasury
from gondwana.ledger.accounts import (
    fund_treasury,
    provider_holdback,
    provider_payable,
    stake,
    subsidy_vesting,
    tenant_available,
    verifier_payable,
)
from gondwana.ledger.audit import audit
from gondwana.ledger.cases import SlashTerms
from gondwana.ledger.programs import CapacityCheck, EpochState
from gondwana.ledger.rules import DeviceClass, SubsidyProgram
from gondwana.ledger.store import balance, post
from gondwana.loops.run_subsidies import run_subsidies, vest_subsidies
from gondwana.market import store as market
from gondwana.policy.model import Scope
from gondwana.wire.units import Candidate, UnitKind

HOUR = 3_600.0
EPOCH = 4 * HOUR
STAKE = 100_000_000  # a hundred dollars a device
FLOOR = 100_000  # ten cents an hour
PROGRAM = SubsidyProgram(
    id="cards", budget_micro_usd=50_000_000, stake_micro_usd_min=STAKE, epoch_seconds=round(EPOCH),
    classes=(
        DeviceClass(
            name="RTX4090", floor_micro_usd_per_hour=FLOOR, electricity_micro_usd_per_hour=90_000,
            market_price_micro_usd_per_hour=400_000, devices_target=1_000_000,
        ),
    ),
)  # fmt: skip


@pytest.fixture
def subsidised(database, make_world, make):
    """A network with a program, a full treasury, and an owner with a card and a stake."""
    world = make_world(database)
    give(world, rules.treasury_deposit("bank", 1_000_000_000, key="a"))
    give(world, rules.stake_from_rail("bank", world.owner, amount_micro_usd=STAKE, key="a"))
    card = make.inventory(accelerators=("RTX4090",))
    world.card = card
    world.join("kauri", price=3_600_000, inventory=card)
    world.clock.advance(60)
    world.write(subsidies.create, world.now, PROGRAM)
    return world


def give(world, entry):
    world.write(post, entry, world.now)


def has(world, account):
    return balance(world.reader, account).available_micro_usd


def check(world, passed, failed=(), *, at=None):
    at = world.now if at is None else at
    found = CapacityCheck(id=f"check {at}", device_class="RTX4090", at=Instant(at), seconds=2.0)
    world.write(subsidies.record_check, world.now, found, passed=passed, failed=failed)


def checked_epoch(world, passed, failed=()):
    """An epoch with a check each half an hour, from before its beginning to after its end."""
    for _ in range(9):
        check(world, passed, failed)
        world.clock.advance(HOUR / 2)
    world.clock.advance(HOUR)


def owned(world, who):
    """All that somebody has in the network, stakes too."""
    accounts = (
        tenant_available,
        provider_holdback,
        provider_payable,
        verifier_payable,
        stake,
        subsidy_vesting,
    )
    return sum(has(world, account(who)) for account in accounts)


def test_proven_idle_time_is_topped_up_to_the_floor(subsidised):
    world = subsidised
    treasury = has(world, fund_treasury())
    checked_epoch(world, ["mac_kauri"])
    assert run_subsidies(world.context, world.now) == 2  # funded, and closed
    assert has(world, provider_payable(world.owner)) == FLOOR  # a quarter of four hours
    assert has(world, subsidy_vesting(world.owner)) == 3 * FLOOR
    (epoch,) = subsidies.epochs(world.reader, "cards")
    assert (epoch.state, epoch.awarded_micro_usd) == (EpochState.CLOSED, 4 * FLOOR)
    assert has(world, fund_treasury()) == treasury - 4 * FLOOR
    assert run_subsidies(world.context, world.now) == 0
    assert audit(world.reader).ok


def test_a_program_whose_money_was_taken_away_does_not_hold_up_the_others(subsidised):
    world = subsidised
    world.write(subsidies.create, world.now, replace(PROGRAM, id="others"))
    checked_epoch(world, ["mac_kauri"])
    program = subsidies.program(world.reader, "cards")
    facts = capacity.verified(world.reader, PROGRAM, program.began_at, program.epoch_begins(1))
    world.write(subsidies.fund, world.now, program, 0, facts)
    seq = world.reader.one("SELECT max(seq) AS seq FROM ledger_transfer")["seq"]
    world.write(treasury.correct, world.now, seq, why="another network's")
    run_subsidies(world.context, world.now)
    run_subsidies(world.context, world.now)
    assert subsidies.epochs(world.reader, "cards")[0].state is EpochState.FUNDED
    assert subsidies.epochs(world.reader, "others")[0].state is EpochState.CLOSED
    assert has(world, provider_payable(world.owner)) == FLOOR


def test_presence_alone_is_given_nothing(subsidised):
    world = subsidised
    for _ in range(20):
        world.clock.advance((EPOCH + HOUR) / 20)
        world.write(heartbeat, world.now, "mac_kauri", ())
    run_subsidies(world.context, world.now)
    assert subsidies.awards(world.reader, "cards", 0) == []
    assert subsidies.epochs(world.reader, "cards")[0].state is EpochState.CLOSED


def test_a_crash_between_any_two_steps_is_continued(subsidised):
    world = subsidised
    checked_epoch(world, ["mac_kauri"])
    program = subsidies.program(world.reader, "cards")
    facts = capacity.verified(world.reader, PROGRAM, program.began_at, program.epoch_begins(1))
    for _ in range(2):  # each step twice, as after a crash before its answer
        world.write(subsidies.fund, world.now, program, 0, facts)
    world.write(subsidies.give, world.now, "cards", 0)
    run_subsidies(world.context, world.now)
    world.write(subsidies.close, world.now, "cards", 0)
    assert owned(world, world.owner) == STAKE + 4 * FLOOR
    assert subsidies.epochs(world.reader, "cards")[0].state is EpochState.CLOSED


def test_a_treasury_that_does_not_reach_gives_what_it_has(subsidised):
    world = subsidised
    rest = has(world, fund_treasury()) - 10
    give(world, rules.treasury_withdraw("bank", rest, key="a"))
    checked_epoch(world, ["mac_kauri"])
    run_subsidies(world.context, world.now)
    assert owned(world, world.owner) == STAKE + 10
    assert has(world, fund_treasury()) == 0


def test_a_stake_that_came_late_or_was_lent_out_for_an_hour_counts_as_none(subsidised):
    world = subsidised
    since = world.now
    give(world, rules.unbond(world.owner, 1, key="a"))
    world.clock.advance(HOUR)
    give(world, rules.stake_from_rail("bank", world.owner, amount_micro_usd=1, key="b"))
    assert (
        subsidies.least_stake(world.reader, world.owner, since, Instant(world.now + 1)) == STAKE - 1
    )
    checked_epoch(world, ["mac_kauri"])
    run_subsidies(world.context, world.now)
    assert subsidies.awards(world.reader, "cards", 0) == []


def test_what_was_given_vests_in_a_straight_line_and_can_be_taken_back_until_then(subsidised):
    world = subsidised
    checked_epoch(world, ["mac_kauri"])
    run_subsidies(world.context, world.now)
    world.clock.advance(45 * 86_400)
    assert vest_subsidies(world.context, world.now) == 1
    assert has(world, provider_payable(world.owner)) == FLOOR + 3 * FLOOR // 2
    taken = world.write(
        subsidies.claw_back, world.now, world.owner, None, key="case", reason="a lie"
    )
    assert taken == 3 * FLOOR - 3 * FLOOR // 2
    world.clock.advance(45 * 86_400)
    assert vest_subsidies(world.context, world.now) == 0
    with pytest.raises(WrongState):
        world.write(subsidies.claw_back, world.now, world.owner, None, key="other", reason="a lie")


def test_a_stopped_program_gives_its_whole_epochs_and_no_more(subsidised):
    world = subsidised
    checked_epoch(world, ["mac_kauri"])
    world.write(subsidies.stop, world.now, "cards")
    world.clock.advance(10 * EPOCH)
    run_subsidies(world.context, world.now)
    assert run_subsidies(world.context, world.now) == 0
    assert [epoch.number for epoch in subsidies.epochs(world.reader, "cards")] == [0]


# -- what fraud brings


def spend(world, price, hours):
    """The owner buys his own machine, as another tenant, for some hours."""
    self_tenant = world.principal("himself", Scope.TENANT)
    world.deposit(self_tenant, 10_000_000_000)
    world.write(lambda tx: tx.execute(
        "UPDATE offer SET price_micro_usd_per_device_hour = :price", {"price": price}))  # fmt: skip
    world.tenant = self_tenant
    world.write(heartbeat, world.now, "mac_kauri", ())
    job = world.submit()
    world.reconcile()
    (lease,) = market.leases_of_job(world.reader, job.id)
    served = replace(
        lease, proven_ms=round(hours * HOUR * 1000), proven_at=world.now, lived_at=world.now
    )
    world.write(market.prove, served)
    how = End(state=JobState.CANCELLED, reason=JobReason.CANCELLED, exit_code=1)
    world.write(lambda tx: end.end_job(tx, world.now, jobs.job(tx, job.id), how))
    return self_tenant


@pytest.mark.parametrize("price", [1_000, 100_000, 3_600_000, 100_000_000])
def test_buying_from_oneself_costs_the_fees_and_proves_nothing(subsidised, price):
    world = subsidised
    himself = spend(world, price, hours=1)
    paid = 10_000_000_000 - has(world, tenant_available(himself))
    assert paid == price  # an hour
    world.clock.advance(EPOCH + HOUR)
    run_subsidies(world.context, world.now)
    gain = owned(world, world.owner) + owned(world, himself) - STAKE - 10_000_000_000
    assert gain == -(price * 300 // 10_000) < 0  # the network's parts of it


@pytest.mark.parametrize("price", [10_000, 100_000, 3_600_000, 100_000_000])
def test_even_where_time_is_proven_who_buys_from_himself_is_left_with_less(subsidised, price):
    world = subsidised
    himself = spend(world, price, hours=1)
    checked_epoch(world, ["mac_kauri"])
    run_subsidies(world.context, world.now)
    gain = owned(world, world.owner) + owned(world, himself) - STAKE - 10_000_000_000
    idle = 4 * FLOOR
    assert gain < idle


def test_a_thousand_machines_that_share_one_card_lose_their_stakes(subsidised, make):
    world = subsidised
    names = [f"fake-{number}" for number in range(1_000)]
    sybil = world.principal("sybil", Scope.PROVIDER)
    for name in names:
        world.join(name, inventory=world.card, owner_id=sybil, up=False)
    staked = 1_000 * STAKE
    give(world, rules.stake_from_rail("bank", sybil, amount_micro_usd=staked, key="s"))
    world.clock.advance(1)
    world.write(subsidies.create, world.now, replace(PROGRAM, id="after-the-stake"))
    machines = [f"mac_{name}" for name in names]
    # At one instant the card answers for one; whoever answers next time, he proves nothing unless it is the same.
    for turn in range(9):
        real = machines[0 if turn < 6 else turn]
        check(world, [real], [each for each in machines if each != real])
        world.clock.advance(HOUR / 2)
    world.clock.advance(HOUR)
    run_subsidies(world.context, world.now)
    given = owned(world, sybil) - staked
    assert 0 < given <= 4 * FLOOR  # one card's worth, whatever the number of names
    lying = staked - STAKE  # every machine but one had no card
    slashed = rules.slash(
        SlashTerms(case_id="c", provider_id=sybil, amount_micro_usd=lying, reason="no card behind 999 machines"),
        holdback=balance(world.reader, provider_holdback(sybil)),
        stake=balance(world.reader, stake(sybil)),
        unbonding=balance(world.reader, f"stake:{sybil}:unbonding"),
    )  # fmt: skip
    give(world, slashed)
    give(world, rules.uphold_slash(slashed))
    world.write(subsidies.claw_back, world.now, sybil, None, key="c", reason="no card")
    assert owned(world, sybil) < staked - lying + 4 * FLOOR
    assert owned(world, sybil) - staked < -99_000_000_000


# -- work that proves


def unit_of(world, make, name, **changes):
    given = {"job_id": "job_a", "lease_id": None, "machine_id": "mac_kauri", "state": UnitState.ACCEPTED,
             "assigned_at": world.now, "delivered_at": Instant(world.now + HOUR), "expires_at": None}  # fmt: skip
    unit = make.unit(name, **{**given, **changes})
    world.write(jobs.save_unit, unit)
    return unit


def test_a_machine_that_was_not_measured_is_of_no_class_not_even_without_accelerators(
    subsidised,
):
    world, since = subsidised, subsidised.now
    world.join("rimu", up=False, inventory=None)
    cpus = replace(PROGRAM, classes=(replace(PROGRAM.classes[0], name="CPU"),))
    for _ in range(2):
        found = CapacityCheck(
            id=f"check {world.now}", device_class="CPU", at=world.now, seconds=2.0
        )
        world.write(subsidies.record_check, world.now, found, passed=["mac_rimu"], failed=[])
        world.clock.advance(HOUR / 2)
    assert capacity.verified(world.reader, cpus, since, Instant(since + EPOCH)) == []


@pytest.mark.parametrize(("judge", "hours"), [("rimu", 1), ("kauri", 0), (None, 0)])
def test_work_proves_time_once_another_owner_judged_it(subsidised, make, judge, hours):
    world = subsidised
    world.join("rimu", owner_id=world.principal("another", Scope.PROVIDER), inventory=world.card)
    world.write(jobs.save_job, make.job(tenant_id=world.tenant))
    since = world.now
    made = unit_of(world, make, "a")
    if judge:
        asked = Candidate(unit_id=made.id, delta=make.BLOB, shards=(), seed=1)
        unit_of(
            world, make, "e", kind=UnitKind.EVALUATE, machine_id=f"mac_{judge}", candidates=(asked,)
        )
    facts = capacity.verified(world.reader, PROGRAM, since, Instant(since + EPOCH))
    proven = {each.machine_id: each.verified_ms for each in facts}
    assert proven == ({"mac_kauri": hours * 3_600_000} if hours else {})


# -- checks


def test_a_check_is_recorded_once_and_never_changed(subsidised):
    world = subsidised
    check(world, ["mac_kauri"], at=world.now - 10)
    with pytest.raises(WrongState):
        check(world, [], at=world.now - 10)
    with pytest.raises(InvalidValue):
        check(world, ["mac_kauri"], ["mac_kauri"], at=world.now - 9)
    with pytest.raises(InvalidValue):
        check(world, [], at=world.now + 100)
    with pytest.raises(Denied):
        world.write(lambda tx: tx.execute("UPDATE capacity_result SET passed = 1"))


def test_a_program_has_one_name(subsidised):
    with pytest.raises(WrongState):
        subsidised.write(subsidies.create, subsidised.now, PROGRAM)
    with pytest.raises(InvalidValue):
        subsidised.write(subsidies.create, subsidised.now, replace(PROGRAM, id="a:b"))


def test_fees_of_the_epoch_before_can_cap_the_budget(subsidised):
    world = subsidised
    capped = replace(PROGRAM, id="capped", alpha_ppm=500_000)
    world.write(subsidies.create, world.now, capped)
    spend(world, 100_000_000, hours=1)  # 2 dollars of fees, in epoch 0
    program = subsidies.program(world.reader, "capped")
    assert subsidies.fees_of_epoch(world.reader, program, 0) == 0
    world.clock.advance(EPOCH)
    assert subsidies.fees_of_epoch(world.reader, program, 1) == 2_000_000
    assert world.write(subsidies.fund, world.now, program, 1, []).budget_micro_usd == 1_000_000
