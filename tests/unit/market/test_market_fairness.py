"""Whose turn it is."""

from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.market.fairness import (
    AGING_SECONDS,
    CPUS,
    MEMORY,
    PARTS,
    Holdings,
    Turns,
    effective_priority,
)
from gondwana.market.fairness import waiting as queued
from gondwana.market.model import Charge, Order, OrderState
from gondwana.wire.jobs import PRIORITY_MAX, Accelerators, Resources

NOW = Instant(1_800_000_000.0)
TOTALS = {"H100": 100, "A100": 50, CPUS: 1_000_000, MEMORY: 10**12}


def order(name, tenant="a", project="", *, priority=0, age=0.0, model="H100", devices=1):
    wanted = Resources(accelerators=(Accelerators(name=model, count=devices),) if model else ())
    return Order(
        id=name, job_id=f"job of {name}", tenant_id=tenant, project=project, priority=priority,
        created_at=Instant(NOW - age), expires_at=Instant(NOW + 9e5), state=OrderState.OPEN,
        count_min=1, count_max=1, devices=devices, resources=wanted, charge=Charge.SECOND,
        price_cap_micro_usd_per_device_hour=None,
    )  # fmt: skip


def waiting(name, *given, **more):
    return queued(order(name, *given, **more))


def holdings(*held, weights=None, totals=TOTALS):
    """(tenant, project, amounts) each."""
    found = Holdings(totals)
    found.weights = weights or {}
    for number, (tenant, project, amounts) in enumerate(held):
        found.add(tenant, project, amounts, job_id=f"job {number}")
    return found


def served(orders, held, now=NOW):
    """The names in the order of their turns, where each gets what it asks."""
    names = []
    turns = Turns(orders, held, now)
    for each in turns:
        turns.settle(each, each.asked)
        names.append(each.order.id)
    turns.close()
    return names


def test_among_equals_the_oldest_is_first():
    orders = [waiting("young", "a", age=1), waiting("old", "b", age=9), waiting("mid", "c", age=5)]
    assert served(orders, holdings()) == ["old", "mid", "young"]


def test_who_holds_the_smaller_part_of_what_he_uses_most_is_next():
    held = holdings(("a", "", {"H100": 10, CPUS: 300_000}), ("b", "", {"A100": 10}))
    assert held.share("a") == 300_000  # of the CPUs, not the 10 of 100 devices
    assert held.share("b") == 200_000
    assert served([waiting("of a", "a", age=99), waiting("of b", "b")], held)[0] == "of b"


def test_what_an_order_gets_counts_for_the_next_turn():
    orders = [waiting(f"a{n}", "a", age=90 - n, devices=10) for n in range(3)]
    orders += [waiting(f"b{n}", "b", age=10 - n, devices=10) for n in range(3)]
    assert served(orders, holdings()) == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_what_got_nothing_does_not_count():
    turns = Turns(
        [waiting("a0", "a", age=9), waiting("a1", "a", age=8), waiting("b0", "b", age=1)],
        holdings(),
        NOW,
    )
    first = next(turns)
    turns.settle(first, None)
    assert [first.order.id, next(turns).order.id] == ["a0", "a1"]


def test_a_tenant_of_twice_the_weight_gets_twice_as_much():
    orders = [waiting(f"a{n}", "a", age=50) for n in range(9)]
    orders += [waiting(f"b{n}", "b", age=50) for n in range(9)]
    first = served(orders, holdings(weights={("a", ""): 2}))[:9]
    assert sum(name[0] == "a" for name in first) == 6


def test_projects_share_what_their_tenant_gets_by_their_weights():
    orders = [waiting(f"x{n}", "a", "x", age=50) for n in range(8)]
    orders += [waiting(f"y{n}", "a", "y", age=50) for n in range(8)]
    first = served(orders, holdings(weights={("a", "x"): 3}))[:8]
    assert sum(name[0] == "x" for name in first) == 6


def test_a_priority_is_first_in_its_project_and_never_passes_another_tenant():
    orders = [
        waiting("low", age=9),
        waiting("high", priority=PRIORITY_MAX),
        waiting("b", "b", age=5),
    ]
    assert served(orders, holdings(("a", "", {"H100": 1}))) == ["b", "high", "low"]


@given(priority=st.integers(0, PRIORITY_MAX))
def test_whoever_waits_long_enough_is_passed_by_no_priority(priority):
    young = waiting("young", priority=PRIORITY_MAX)
    old = waiting("old", priority=priority, age=(PRIORITY_MAX - priority) * AGING_SECONDS)
    assert effective_priority(old, NOW) >= effective_priority(young, NOW)
    assert served([young, old], holdings())[0] == "old"


orders = st.lists(
    st.builds(
        waiting, st.uuids().map(str), st.sampled_from("abcd"), st.sampled_from(["", "x", "y"]),
        priority=st.integers(0, 100), age=st.floats(0, 1e5), model=st.sampled_from(["H100", "A100"]),
        devices=st.integers(1, 8),
    ),
    max_size=40,
)  # fmt: skip


def brute_force(orders, held):
    """The same, by looking at all that wait for every turn."""
    left, names = list(orders), []
    while left:
        tenants = {each.tenant_id for each in left}

        def head(tenant, project=None):
            found = [
                each for each in left
                if each.tenant_id == tenant and (project is None or each.project == project)
            ]  # fmt: skip
            return min(
                found,
                key=lambda each: (
                    -effective_priority(each, NOW),
                    each.order.created_at,
                    each.order.id,
                ),
            )

        def turn_of(tenant):
            projects = {each.project for each in left if each.tenant_id == tenant}

            def key(project):
                each = head(tenant, project)
                rank = (-effective_priority(each, NOW), each.order.created_at, each.order.id)
                return held.due(tenant, project), rank

            return head(tenant, min(projects, key=key))

        each = min(
            map(turn_of, tenants),
            key=lambda each: (held.due(each.tenant_id), each.order.created_at, each.tenant_id),
        )
        left.remove(each)
        held.add(each.tenant_id, each.project, each.asked, job_id=each.order.job_id)
        names.append(each.order.id)
    return names


@given(orders, st.integers(1, 9), st.integers(1, 9))
def test_turns_are_those_of_a_plain_search(orders, first, second):
    weights = {("a", ""): first, ("b", "x"): second}
    assert served(orders, holdings(weights=weights)) == brute_force(
        orders, holdings(weights=weights)
    )


@given(orders)
def test_a_pass_leaves_no_trace(orders):
    held = holdings(("a", "x", {"H100": 3}))
    before = {tenant: held.share(tenant) for tenant in "abcd"}
    served(orders, held)
    assert {tenant: held.share(tenant) for tenant in "abcd"} == before
    assert held.jobs("b", None) == {}


@given(orders, st.integers(1, 5))
def test_turns_are_the_same_where_leases_are_committed_meanwhile(orders, late):
    held = holdings(("a", "x", {"H100": 3}))
    names, turns, uncounted = [], Turns(orders, held, NOW), []
    for each in turns:
        turns.settle(each, each.asked)
        names.append(each.order.id)
        uncounted.append(each.order)
        if len(uncounted) == late:
            leased = uncounted.pop(0)
            turns.committed(leased.job_id)
            amounts = queued(leased).asked
            held.add(leased.tenant_id, leased.project, amounts, job_id=leased.job_id)
    assert names == served(orders, holdings(("a", "x", {"H100": 3})))
    turns.close()
    asked = [each.order for each in orders]
    counted = {each.job_id for each in asked} - {each.job_id for each in uncounted}
    mine = {job for tenant in "abcd" for job in held.jobs(tenant, None)} - {"job 0"}
    assert mine == {each.job_id for each in asked if each.job_id in counted and queued(each).asked}


@given(st.integers(2, 5), st.integers(1, 60), st.integers(1, 8))
def test_while_all_ask_nobody_is_further_behind_than_one_order(tenants, turns_count, size):
    """The bound of DRF: as long as everybody still waits, two shares differ by one order at most."""
    orders = [
        waiting(f"{t} {n}", f"t{t}", age=n, devices=1 + (n * 7 + t) % size)
        for t in range(tenants)
        for n in range(turns_count + 1)
    ]
    held = holdings()
    turns = Turns(orders, held, NOW)
    for _ in range(turns_count):
        each = next(turns)
        turns.settle(each, each.asked)
        shares = [held.share(f"t{t}") for t in range(tenants)]
        assert max(shares) - min(shares) <= size * PARTS // TOTALS["H100"]


def test_orders_taken_before_their_answer_is_known_count_as_served():
    many = [waiting(f"a{n}", "a", age=99 - n, devices=5) for n in range(4)]
    many += [waiting(f"b{n}", "b", age=9 - n, devices=5) for n in range(4)]
    turns = Turns(many, holdings(), NOW)
    assert [next(turns).tenant_id for _ in range(6)] == ["a", "b", "a", "b", "a", "b"]


def test_leases_come_and_go_and_nothing_is_left():
    held = holdings()
    for sign in (1, 1, -1, -1):
        held.add("a", "x", {"H100": 2, MEMORY: 5}, job_id="j", sign=sign)
    assert held.share("a") == held.share("a", "x") == 0
    assert held.tenants() == held.projects("a") == []


def test_a_resource_that_is_gone_is_all_taken_and_no_more():
    assert holdings(("a", "", {"P100": 3})).share("a") == PARTS


def test_devices_are_counted_by_model_and_in_all():
    held = holdings(("a", "x", {"H100": 3, CPUS: 10, MEMORY: 10}), ("a", "", {"A100": 2, CPUS: 1}))
    assert held.devices("a", None, "") == 5
    assert held.devices("a", None, "H100") == 3
    assert held.devices("a", "x", "A100") == 0


def test_what_an_order_asks_at_least_is_expected():
    assert waiting("a", devices=2).asked == {"H100": 2}
    assert waiting("a", model="").asked == {"CPU": 1}
    assert holdings(totals={}).share("a") == 0
