"""Fair shares and quotas over a real database: who is served first, who waits, and what is written."""

import functools

import pytest

from gondwana.core.errors import Conflict, NoSuchThing, QuotaTooSmall
from gondwana.jobs import end as ends
from gondwana.jobs import place, resizes
from gondwana.jobs import store as jobs_store
from gondwana.jobs.fairness import TOTALS_SECONDS, Fairness
from gondwana.jobs.model import JobReason, JobState
from gondwana.jobs.rules import batch
from gondwana.loops import each
from gondwana.loops.keep_machines import keep_machines
from gondwana.loops.match_orders import match_orders
from gondwana.market import store as market
from gondwana.market.keeping import AGED_SECONDS, PATIENCE_SECONDS
from gondwana.market.model import CloseReason, OrderState
from gondwana.policy import quotas
from gondwana.policy.model import Quota, Scope
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState
from gondwana.wire.jobs import Accelerators, MarketTerms, Resources

CANCELLED = batch.End(state=JobState.CANCELLED, reason=JobReason.CANCELLED)


@pytest.fixture
def world(make_database, make_world):
    found = make_world(make_database())
    found.other = found.principal("other", Scope.TENANT)
    found.deposit(found.other, 1_000_000_000_000)
    return found


def set_quota(world, *, tenant=None, operator=False, **limits):
    quota = Quota(
        tenant_id=tenant or world.tenant, is_operators=operator, set_by=world.tenant,
        set_at=world.now, **limits,
    )  # fmt: skip
    return world.write(quotas.set_quota, quota)


def gpus(name="H100", count=1):
    return Resources(accelerators=(Accelerators(name=name, count=count),))


def submit(world, make, name, *, tenant=None, priority=0, **changes):
    whose, world.tenant = world.tenant, tenant or world.tenant
    try:
        world.clock.advance(1.0)
        return world.submit(make.spec(name=name, market=MarketTerms(priority=priority), **changes))
    finally:
        world.tenant = whose


def served(world, *jobs):
    """The names of those that hold machines."""
    return [job.name for job in jobs if market.leases_of_job(world.reader, job.id, live=True)]


def join(world, make, name, *, count=1, model="H100"):
    inventory = make.inventory(accelerators=(model,) * count)
    return world.join(name, devices=count, inventory=inventory)


def test_whoever_holds_less_is_served_before_an_older_order(world, make):
    join(world, make, "a", count=2)
    first, second = (submit(world, make, f"mine-{n}", resources=gpus()) for n in range(2))
    third = submit(world, make, "theirs", tenant=world.other, resources=gpus())
    assert match_orders(world.context, world.now) == 2
    assert served(world, first, second, third) == ["mine-0", "theirs"]


class Later:
    """A write that is done when somebody asks how it went: all that is proposed before is proposed without it."""

    def __init__(self, write):
        self._done = functools.cache(write)

    def exception(self):
        return self._done().exception()

    def result(self):
        return self._done().result()


@pytest.fixture
def written_late(world, monkeypatch):
    """The writes of the matcher, as they are submitted, one proposal each."""
    submit, calls = world.context.database.writer.submit, []

    def later(*call):
        calls.append(call)
        return Later(lambda: submit(*call))

    monkeypatch.setattr(each, "PART_MAX", 1)
    monkeypatch.setattr(world.context.database.writer, "submit", later)
    return calls


def test_what_is_leased_meanwhile_counts_once(world, make, request):
    join(world, make, "a", count=8)
    set_quota(world, devices_max=6)
    mine = [submit(world, make, f"mine-{n}", resources=gpus()) for n in range(8)]
    request.getfixturevalue("written_late")
    assert match_orders(world.context, world.now) == 6
    assert len(served(world, *mine)) == 6


def test_a_machine_is_proposed_to_so_many_as_it_has_devices_while_some_are_not_written(
    world, make, request
):
    join(world, make, "a", count=3)
    for number in range(5):
        submit(world, make, f"mine-{number}", resources=gpus())
    calls = request.getfixturevalue("written_late")
    assert match_orders(world.context, world.now) == 3
    assert len([call for call in calls if call[0] is place.place]) == 3


def test_what_is_held_since_before_a_restart_counts(world, make):
    join(world, make, "a", count=1)
    mine = submit(world, make, "mine", resources=gpus())
    match_orders(world.context, world.now)
    again = submit(world, make, "again", resources=gpus())
    theirs = submit(world, make, "theirs", tenant=world.other, resources=gpus())
    object.__setattr__(world.context, "fairness", Fairness())  # a new process
    join(world, make, "b", count=1)
    match_orders(world.context, world.now)
    assert served(world, mine, again, theirs) == ["mine", "theirs"]


def test_a_lease_that_ended_counts_no_more(world, make):
    join(world, make, "a", count=1)
    mine = submit(world, make, "mine", resources=gpus())
    match_orders(world.context, world.now)
    (lease,) = market.leases_of_job(world.reader, mine.id)
    world.write(lambda tx: market.close(tx, world.now, lease, CloseReason.JOB_DONE))
    again = submit(world, make, "again", resources=gpus())
    theirs = submit(world, make, "theirs", tenant=world.other, resources=gpus())
    match_orders(world.context, world.now)
    assert served(world, again, theirs) == ["again"]  # both hold nothing: the older one


def test_a_priority_counts_inside_a_project_only(world, make):
    join(world, make, "a", count=1)
    low = submit(world, make, "low", resources=gpus())
    theirs = submit(world, make, "theirs", tenant=world.other, resources=gpus())
    high = submit(world, make, "high", priority=100, resources=gpus())
    match_orders(world.context, world.now)
    join(world, make, "b", count=1)
    match_orders(world.context, world.now)
    assert served(world, low, high, theirs) == ["high", "theirs"]


def test_a_tenant_of_more_weight_gets_more(world, make):
    join(world, make, "a", count=6)
    set_quota(world, operator=True, weight=2)
    mine = [submit(world, make, f"mine-{n}", resources=gpus()) for n in range(6)]
    theirs = [submit(world, make, f"theirs-{n}", tenant=world.other, resources=gpus()) for n in range(6)]  # fmt: skip
    match_orders(world.context, world.now)
    assert [len(served(world, *jobs)) for jobs in (mine, theirs)] == [4, 2]


def test_a_tenant_s_own_word_does_not_change_what_he_weighs(world):
    set_quota(world, weight=900)
    set_quota(world, project="x", weight=3)
    assert quotas.weights(quotas.all_quotas(world.reader)) == {(world.tenant, "x"): 3}


@pytest.mark.parametrize(
    "limits", [{"devices_max": 2}, {"jobs_max": 2}, {"devices_max": 2, "model": "H100"}]
)
def test_what_is_over_the_quota_waits_and_says_so(world, make, limits):
    join(world, make, "a", count=4)
    jobs = [submit(world, make, f"j{n}", resources=gpus()) for n in range(3)]
    set_quota(world, **limits)
    assert match_orders(world.context, world.now) == 2
    assert served(world, *jobs) == ["j0", "j1"]
    assert world.context.fairness.why(jobs[2].order_id).startswith("quota: ")


def test_when_a_lease_ends_the_quota_has_room_again(world, make):
    join(world, make, "a", count=4)
    set_quota(world, devices_max=1)
    first, second = (submit(world, make, f"j{n}", resources=gpus()) for n in range(2))
    match_orders(world.context, world.now)
    assert served(world, first, second) == ["j0"]
    (lease,) = market.leases_of_job(world.reader, first.id)
    world.write(lambda tx: market.close(tx, world.now, lease, CloseReason.JOB_DONE))
    match_orders(world.context, world.now)
    assert served(world, first, second) == ["j1"]


def test_a_quota_of_a_project_leaves_the_others_alone(world, make):
    join(world, make, "a", count=4)
    set_quota(world, project="x", devices_max=1)
    jobs = [submit(world, make, f"x{n}", project="x", resources=gpus()) for n in range(2)]
    jobs += [submit(world, make, f"y{n}", project="y", resources=gpus()) for n in range(2)]
    match_orders(world.context, world.now)
    assert served(world, *jobs) == ["x0", "y0", "y1"]


def test_a_quota_of_a_model_leaves_the_other_that_the_job_names(world, make):
    join(world, make, "a", count=2, model="H100")
    join(world, make, "b", count=2, model="A100")
    set_quota(world, model="H100", devices_max=1)
    either = Resources(accelerators=(Accelerators(name="H100"), Accelerators(name="A100")))
    jobs = [submit(world, make, f"j{n}", resources=either) for n in range(4)]
    assert match_orders(world.context, world.now) + match_orders(world.context, world.now) == 3
    machines = [
        lease.machine_id for job in jobs for lease in market.leases_of_job(world.reader, job.id)
    ]
    assert sorted(machines) == ["mac_a", "mac_b", "mac_b"]


def test_what_one_may_not_have_by_his_quota_another_gets_in_the_same_pass(world, make):
    join(world, make, "a", model="A100")
    set_quota(world, model="A100", devices_max=0)
    mine = submit(world, make, "mine", resources=Resources())  # any machine would do
    theirs = submit(world, make, "theirs", tenant=world.other, resources=gpus("A100"))
    assert match_orders(world.context, world.now) == 1
    assert served(world, mine, theirs) == ["theirs"]


def test_a_job_that_takes_any_model_gets_the_one_that_its_quotas_leave(world, make):
    cheap = join(world, make, "cheap", model="A100")
    world.write(supply.set_price, world.now, cheap, 1)
    join(world, make, "late", model="H100")
    set_quota(world, model="A100", devices_max=0)
    mine = submit(world, make, "mine", resources=gpus(""))
    assert match_orders(world.context, world.now) == 1
    assert market.leases_of_job(world.reader, mine.id)[0].machine_id == "mac_late"


def test_an_order_is_looked_at_again_when_its_quota_grows_or_it_wants_less(world, make):
    for name in ("a", "c"):
        join(world, make, name, count=1, model="A100")
    join(world, make, "b", count=1, model="H100")
    either = Resources(accelerators=(Accelerators(name="H100"), Accelerators(name="A100")))
    first = submit(world, make, "first", resources=gpus("H100"))
    before = submit(world, make, "before", tenant=world.other, resources=gpus("A100"))
    assert match_orders(world.context, world.now) == 2
    set_quota(world, model="A100", devices_max=0)
    second = submit(world, make, "second", resources=either)
    nodes = {"num_nodes": 2, "is_elastic": True}
    large = submit(world, make, "large", tenant=world.other, resources=either, **nodes)
    match_orders(world.context, world.now)
    assert served(world, first, second, large) == ["first"]
    set_quota(world, model="A100", devices_max=1)
    match_orders(world.context, world.now)
    assert served(world, first, second, large) == ["first", "second"]
    end(world, before)
    match_orders(world.context, world.now)
    assert served(world, first, second, large) == ["first", "second"]
    world.write(resizes.resize, world.now, large, 1)
    match_orders(world.context, world.now)
    assert served(world, first, second, large) == ["first", "second", "large"]


@pytest.mark.parametrize("names", [("",), ("H100", "A100")])
def test_what_a_quota_left_out_is_looked_at_again_when_a_lease_of_the_tenants_own_ends(
    world, make, names
):
    join(world, make, "a", model="A100")
    join(world, make, "h", model="H100")
    set_quota(world, model="A100", devices_max=1)
    mine = submit(world, make, "mine", resources=gpus("A100"))
    theirs = submit(world, make, "theirs", tenant=world.other, resources=gpus("H100"))
    assert match_orders(world.context, world.now) == 2
    wanted = Resources(accelerators=tuple(Accelerators(name=name) for name in names))
    waits = submit(world, make, "waits", resources=wanted)
    assert match_orders(world.context, world.now) == 0
    end(world, mine)
    assert match_orders(world.context, world.now) == 1
    assert served(world, mine, theirs, waits) == ["theirs", "waits"]


def test_what_a_quota_left_out_is_looked_at_again_when_a_machine_that_serves_the_tenant_leaves(
    world, make
):
    """No offer is better for it: one was free all the time."""
    for name in ("a", "b"):
        join(world, make, name, model="A100")
    set_quota(world, model="A100", devices_max=1)
    join(world, make, "h", model="H100")
    mine = submit(world, make, "mine", resources=gpus("A100"))
    submit(world, make, "theirs", tenant=world.other, resources=gpus("H100"))
    assert match_orders(world.context, world.now) == 2
    (lease,) = market.leases_of_job(world.reader, mine.id, live=True)
    waits = submit(world, make, "waits", resources=gpus(""))
    assert match_orders(world.context, world.now) == 0
    machine = supply.machine(world.reader, lease.machine_id)
    draining = world.write(supply.move, world.now, machine, MachineState.DRAINING)
    world.write(ends.lose_machine, world.now, draining, MachineState.LEFT, CloseReason.OWNER_LEFT)
    world.write(ends.end_job, world.now, jobs_store.job(world.reader, mine.id), CANCELLED)
    assert match_orders(world.context, world.now) == 1
    assert served(world, waits) == ["waits"]


def test_whoever_takes_any_model_gets_one_that_joins_later_though_he_has_a_quota(world, make):
    join(world, make, "a", model="A100")
    set_quota(world, model="A100", devices_max=1)
    join(world, make, "h", model="H100")
    first = submit(world, make, "first", resources=gpus("A100"))
    submit(world, make, "theirs", tenant=world.other, resources=gpus("H100"))
    waits = submit(world, make, "waits", resources=gpus(""))
    assert match_orders(world.context, world.now) == 2
    join(world, make, "new", model="L40S")
    assert match_orders(world.context, world.now) == 0, (
        "what there is in all is counted each ten seconds"
    )
    world.clock.advance(TOTALS_SECONDS)
    assert match_orders(world.context, world.now) == 1
    assert served(world, first, waits) == ["first", "waits"]


def test_the_writer_looks_at_the_quota_again_whoever_proposes(world, make):
    join(world, make, "a", count=4)
    jobs = [submit(world, make, f"j{n}", resources=gpus()) for n in range(3)]
    set_quota(world, devices_max=2)
    asked = [
        place.Proposal(order=market.order(world.reader, job.order_id), machine_ids=["mac_a"])
        for job in jobs
    ]
    assert world.write(place.place, world.random, world.now, asked) == 2
    assert world.write(place.place, world.random, world.now, asked) == 0


def test_a_gang_that_the_quota_would_cut_gets_nothing(world, make):
    for name in ("a", "b", "c"):
        join(world, make, name)
    single = submit(world, make, "single", resources=gpus())
    gang = submit(world, make, "gang", num_nodes=2, resources=gpus())
    set_quota(world, devices_max=2)
    match_orders(world.context, world.now)
    assert served(world, single, gang) == ["single"]


def test_a_job_that_its_quota_will_never_let_run_is_refused(world, make):
    join(world, make, "a", count=8)
    set_quota(world, devices_max=4)
    with pytest.raises(QuotaTooSmall) as refused:
        submit(world, make, "big", resources=gpus(count=8))
    assert "8 devices" in str(refused.value)
    assert "allows 4" in str(refused.value)
    assert refused.value.hint is not None
    set_quota(world, jobs_max=0, project="off")
    with pytest.raises(QuotaTooSmall):
        submit(world, make, "none", project="off", resources=gpus())


def test_a_quota_is_set_bit_by_bit_and_lifted_whole(world):
    set_quota(world, devices_max=4)
    assert set_quota(world, jobs_max=2).devices_max == 4
    (stands,) = quotas.all_quotas(world.reader)
    assert (stands.devices_max, stands.jobs_max, stands.weight) == (4, 2, None)
    lifted = world.write(quotas.remove_quota, world.now, stands)
    assert lifted == stands
    assert quotas.all_quotas(world.reader) == []
    assert world.kinds(world.tenant) == ["quota.set", "quota.set", "quota.removed"]
    with pytest.raises(NoSuchThing):
        world.write(quotas.remove_quota, world.now, stands)


def test_an_operators_quota_stands_beside_the_tenants_own(world, make):
    join(world, make, "a", count=4)
    jobs = [submit(world, make, f"j{n}", resources=gpus()) for n in range(3)]
    set_quota(world, operator=True, devices_max=1)
    set_quota(world, devices_max=3)
    match_orders(world.context, world.now)
    assert served(world, *jobs) == ["j0"]


def test_a_tenant_has_so_many_quotas_and_no_more(world, monkeypatch):
    monkeypatch.setattr(quotas, "QUOTAS_MAX", 2)
    for project in ("a", "b"):
        set_quota(world, project=project, devices_max=1)
    set_quota(world, project="a", devices_max=2)
    with pytest.raises(Conflict):
        set_quota(world, project="c", devices_max=1)


# What is kept


HOUR = 3_600.0


def small_jobs(world, make, count, *, hours, name="small"):
    limit = hours * HOUR
    jobs = [
        submit(world, make, f"{name}-{n}", resources=gpus(), seconds_max=limit)
        for n in range(count)
    ]
    match_orders(world.context, world.now)
    return jobs


def end(world, job):
    for lease in market.leases_of_job(world.reader, job.id, live=True):
        world.write(lambda tx, lease=lease: market.close(tx, world.now, lease, CloseReason.JOB_DONE))  # fmt: skip


def test_a_gang_is_not_passed_by_for_ever(world, make):
    for name in ("a", "b"):
        join(world, make, name)
    running = small_jobs(world, make, 2, hours=2.0)
    gang = submit(world, make, "gang", tenant=world.other, num_nodes=2, resources=gpus())
    match_orders(world.context, world.now)
    world.clock.advance(PATIENCE_SECONDS)
    assert keep_machines(world.context, world.now) == 2
    assert [hold.order_id for hold in market.holds(world.reader)] == [gang.order_id] * 2
    end(world, running[0])
    passing = small_jobs(world, make, 3, hours=5.0, name="passing")
    assert served(world, *passing, gang) == []
    end(world, running[1])
    match_orders(world.context, world.now)
    assert served(world, *passing, gang) == ["gang"]
    assert keep_machines(world.context, world.now) == 0
    assert market.holds(world.reader) == []
    assert world.kinds(gang.order_id)[:2] == ["order.opened", "order.kept"]


@pytest.mark.parametrize("waits", [AGED_SECONDS, AGED_SECONDS - 60])
@pytest.mark.parametrize(
    "wants", [{"resources": gpus(count=2)}, {"resources": gpus(), "num_nodes": 2}]
)
def test_what_a_quota_leaves_is_kept_for_an_order_that_waited_an_hour_for_it(
    world, make, wants, waits
):
    for name in ("a", "b"):
        join(world, make, name, count=4)
    set_quota(world, devices_max=2)
    running = small_jobs(world, make, 2, hours=5.0)
    large = submit(world, make, "large", **wants)
    match_orders(world.context, world.now)
    world.clock.advance(waits)
    end(world, running[0])
    passing = small_jobs(world, make, 1, hours=5.0, name="passing")
    theirs = submit(world, make, "theirs", tenant=world.other, resources=gpus())
    match_orders(world.context, world.now)
    is_kept = waits >= AGED_SECONDS
    assert served(world, *passing, theirs) == (["theirs"] if is_kept else ["passing-0", "theirs"])
    if is_kept:
        assert str(large.id) in world.context.fairness.why(passing[0].order_id)
    end(world, running[1])
    match_orders(world.context, world.now)
    assert served(world, *passing, large) == (["large"] if is_kept else ["passing-0"])


def test_machines_are_kept_for_a_gang_in_whichever_of_its_models_enough_can_be_kept(world, make):
    """Of the first there is one machine, which is too few; of the second there are two."""
    join(world, make, "h", model="H100")
    for name in ("a", "b"):
        join(world, make, name, model="A100")
    for name in ("h", "a", "b"):
        model = gpus("H100" if name == "h" else "A100")
        submit(world, make, f"on-{name}", resources=model, seconds_max=2 * HOUR)
    assert match_orders(world.context, world.now) == 3
    either = Resources(accelerators=(Accelerators(name="H100"), Accelerators(name="A100")))
    submit(world, make, "gang", tenant=world.other, num_nodes=2, resources=either)
    match_orders(world.context, world.now)
    world.clock.advance(PATIENCE_SECONDS)
    assert keep_machines(world.context, world.now) == 2
    assert {hold.machine_id for hold in market.holds(world.reader)} == {"mac_a", "mac_b"}


def test_a_quota_keeps_nothing_for_an_order_that_it_will_never_let_have_what_it_needs(world, make):
    join(world, make, "a", count=4)
    large = submit(world, make, "large", resources=gpus(count=4))
    set_quota(world, devices_max=2)  # lowered since
    match_orders(world.context, world.now)
    world.clock.advance(AGED_SECONDS)
    match_orders(world.context, world.now)
    small = small_jobs(world, make, 1, hours=5.0)
    assert served(world, large, *small) == ["small-0"]


def test_a_quota_that_another_waits_for_keeps_no_order_that_it_does_not_concern(world, make):
    join(world, make, "a", count=4)
    join(world, make, "b", count=4, model="A100")
    set_quota(world, devices_max=2, model="H100")
    running = small_jobs(world, make, 2, hours=5.0)
    large = submit(world, make, "large", resources=gpus(count=2))
    world.clock.advance(AGED_SECONDS)
    end(world, running[0])
    others = submit(world, make, "others", resources=gpus("A100"))
    match_orders(world.context, world.now)
    assert served(world, large, others) == ["others"]


def test_whoever_is_done_in_time_runs_on_what_is_kept(world, make):
    for name in ("a", "b"):
        join(world, make, name)
    running = small_jobs(world, make, 2, hours=4.0)
    gang = submit(world, make, "gang", tenant=world.other, num_nodes=2, resources=gpus())
    world.clock.advance(PATIENCE_SECONDS)
    keep_machines(world.context, world.now)
    end(world, running[0])
    match_orders(world.context, world.now)
    long, short = (small_jobs(world, make, 1, hours=h, name=f"h{h:.0f}")[0] for h in (4.0, 3.0))
    assert served(world, long, short, gang) == ["h3-0"]


def test_the_writer_gives_nobody_what_is_kept_for_another(world, make):
    for name in ("a", "b"):
        join(world, make, name)
    running = small_jobs(world, make, 2, hours=2.0)
    submit(world, make, "gang", tenant=world.other, num_nodes=2, resources=gpus())
    world.clock.advance(PATIENCE_SECONDS)
    keep_machines(world.context, world.now)
    end(world, running[0])
    other = submit(world, make, "stale", resources=gpus(), seconds_max=9 * HOUR)
    order = market.order(world.reader, other.order_id)
    asked = [place.Proposal(order=order, machine_ids=["mac_a", "mac_b"])]
    assert world.write(place.place, world.random, world.now, asked) == 0


def test_what_is_kept_for_an_order_that_is_gone_is_free_again(world, make):
    for name in ("a", "b"):
        join(world, make, name)
    running = small_jobs(world, make, 2, hours=2.0)
    gang = submit(world, make, "gang", tenant=world.other, num_nodes=2, resources=gpus())
    world.clock.advance(PATIENCE_SECONDS)
    keep_machines(world.context, world.now)
    end(world, running[0])
    (waits,) = small_jobs(world, make, 1, hours=9.0, name="waits")
    assert served(world, waits) == []
    order = market.order(world.reader, gang.order_id)
    world.write(market.move_order, world.now, order, OrderState.CLOSED)
    match_orders(world.context, world.now)
    assert served(world, waits) == ["waits-0"]


def test_for_what_can_never_be_had_nothing_is_kept(world, make):
    for name in ("a", "b", "c"):
        join(world, make, name)
    running = small_jobs(world, make, 3, hours=2.0)
    impossible = submit(world, make, "impossible", num_nodes=3, resources=gpus())
    gang = submit(world, make, "gang", tenant=world.other, num_nodes=2, resources=gpus())
    world.write(supply.move, world.now, world.machine("c"), MachineState.DOWN)
    world.clock.advance(PATIENCE_SECONDS)
    keep_machines(world.context, world.now)
    assert {hold.order_id for hold in market.holds(world.reader)} == {gang.order_id}
    assert served(world, *running) == ["small-0", "small-1", "small-2"]
    assert served(world, impossible) == []


def test_an_order_that_waited_an_hour_is_next_whoever_holds_less(world, make):
    join(world, make, "a")
    (running,) = small_jobs(world, make, 1, hours=2.0)
    mine = submit(world, make, "mine", resources=gpus())
    world.clock.advance(AGED_SECONDS)
    keep_machines(world.context, world.now)
    theirs = submit(world, make, "theirs", tenant=world.other, resources=gpus())
    set_quota(world, operator=True, weight=1)
    end(world, running)
    match_orders(world.context, world.now)
    assert served(world, mine, theirs) == ["mine"]
