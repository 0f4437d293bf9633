import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.core.values import replace
from gondwana.market import rules, screening
from gondwana.market.model import (
    CLOSE_CODES,
    LEASE_TRANSITIONS,
    ORDER_TRANSITIONS,
    Charge,
    CloseReason,
    LeaseState,
    Mechanism,
    OrderState,
)
from gondwana.market.where import check_where
from gondwana.wire.jobs import Accelerators, Resources

NOW = Instant(1_800_000_000.0)

GIB = 1024**3


def names(screening):
    return [each.name for each in screening.fits]


def wants(make, *, cap=None, devices=1, **resources):
    return make.order(
        resources=Resources(**resources),
        price_cap_micro_usd_per_device_hour=cap,
        devices=devices,
    )


# -- screening


def test_without_machines_the_first_thing_to_do_is_to_join_one(make):
    said = screening.screen(make.order(), [], NOW)
    assert (said.fits, said.why_not) == ((), "no machine has joined")
    assert "provider join" in said.hint


@pytest.mark.parametrize(
    "order, sold, why, hint",
    [
        ({}, {"is_open": False}, "up and open", "offers"),
        ({}, {"isolation": "none"}, "sandbox", "bubblewrap"),
        ({}, {"isolation": "plain"}, "sandbox", "bubblewrap"),
        ({"accelerators": (Accelerators(name="H100"),)}, {}, "accelerator H100", "there are: CPU"),
        ({"cpus_min": 9}, {}, "at least 9 CPUs", "the largest has 8"),
        ({"cpus_min": 4}, {"cpus": 2.0}, "at least 4 CPUs", "the largest has 2"),
        ({"memory_bytes_min": 17 * GIB}, {}, "17.0 GB of memory", "the largest has 16.0 GB"),
        ({"memory_bytes_min": 8 * GIB}, {"memory_bytes": GIB}, "8.0 GB", "has 1.0 GB"),
        ({"cap": 500_000}, {}, "price at most $0.50", "asks $1.00: raise gondwana.price_cap"),
        ({"cap": 0}, {}, "price at most $0.00", "asks $1.00"),
        ({"devices": 2}, {"devices": 4, "free": 1}, "2 free device(s)", "taken: wait"),
    ],
)
def test_an_order_that_nothing_fits_is_told_which_constraint_left_nothing(
    make, order, sold, why, hint
):
    machines = [make.listing("kauri", **sold), make.listing("rimu", **sold)]
    said = screening.screen(wants(make, **order), machines, NOW)
    assert said.fits == ()
    assert why in said.why_not
    assert "none of 2 machines" in said.why_not
    assert hint in said.hint


def test_the_constraint_that_is_told_is_the_one_that_the_last_machines_fell_to(make):
    machines = [
        make.listing("paused", is_open=False, cpus=64),
        make.listing("small", cpus=2),
        make.listing("dear", price=9_000_000, cpus=64),
    ]
    said = screening.screen(wants(make, cpus_min=32, cap=1_000_000), machines, NOW)
    assert said.why_not == "price at most $1.00 per device-hour: none of 1 machines"
    assert "$9.00" in said.hint


def test_the_owners_own_job_may_run_without_a_sandbox_where_the_owner_allowed_it(make):
    plain = [make.listing(isolation="plain", owner_id="pri_tenant")]
    assert names(screening.screen(make.order(tenant_id="pri_tenant"), plain, NOW)) == ["kauri"]
    assert names(screening.screen(make.order(tenant_id="pri_other"), plain, NOW)) == []


def test_any_accelerator_will_do_when_none_is_named_but_a_machine_without_one_will_not(make):
    gpu = make.listing("gpu", accelerator="H100", devices=2)
    machines = [make.listing("cpu"), gpu]
    assert names(
        screening.screen(wants(make, accelerators=(Accelerators(name=""),)), machines, NOW)
    ) == ["gpu"]
    assert names(screening.screen(wants(make), machines, NOW)) == ["cpu", "gpu"]


def test_one_of_several_accelerators_is_enough_and_their_count_must_be_there(make):
    machines = [
        make.listing("a", accelerator="A100", devices=1),
        make.listing("b", accelerator="H100", devices=8),
    ]
    either = (Accelerators(name="A100", count=1), Accelerators(name="H100", count=1))
    assert names(screening.screen(wants(make, accelerators=either), machines, NOW)) == ["a", "b"]
    eight = (Accelerators(name="A100", count=8), Accelerators(name="H100", count=8))
    assert names(screening.screen(wants(make, accelerators=eight), machines, NOW)) == ["b"]


def h100(count):
    return (Accelerators(name="H100", count=count),)


@pytest.mark.parametrize("wanted, why, hint", [
    (h100(8), "8 H100 in one machine: none of 2", "the largest has 4: ask for H100:4, or num_nodes: 2 of 4"),
    (h100(9), "9 H100 in one machine: none of 2", "the largest has 4: ask for H100:4, or num_nodes: 3 of 4"),
    ((*h100(8), Accelerators(name="A100", count=16)), "8 H100 or 16 A100 in one machine: none of 2",
     "the largest has 4: ask for 4, or num_nodes: 2 of 4"),
    ((Accelerators(name="", count=16),), "16 accelerators in one machine: none of 3",
     "the largest has 8: ask for 8, or num_nodes: 2 of 8"),
])  # fmt: skip
def test_whoever_wants_more_devices_in_one_machine_than_any_has_is_told_the_most_there_are(
    make, wanted, why, hint
):
    machines = [
        make.listing("cpu"),
        make.listing("two", accelerator="H100", devices=2),
        make.listing("four", accelerator="H100", devices=4),
        make.listing("other", accelerator="L4", devices=8),
    ]
    said = screening.screen(wants(make, accelerators=wanted), machines, NOW)
    assert (said.why_not, said.hint) == (f"{why} machines", hint)


def test_a_gang_is_told_how_many_nodes_come_to_as_much_and_a_training_is_not(make):
    machines = [make.listing("four", accelerator="H100", devices=4)]
    gang = replace(wants(make, accelerators=h100(8)), count_min=3, count_max=3)
    assert screening.screen(gang, machines, NOW).hint.endswith("or num_nodes: 6 of 4")
    training = replace(gang, charge=Charge.UNIT)
    assert screening.screen(training, machines, NOW).hint == "the largest has 4: ask for H100:4"


def test_the_cheapest_per_measured_speed_comes_first_and_the_unmeasured_last(make):
    machines = [
        make.listing("cheap-slow", price=1_000_000, steps_per_second=1.0),
        make.listing("dear-fast", price=4_000_000, steps_per_second=8.0),
        make.listing("free-unmeasured", price=0, steps_per_second=0.0),
        make.listing("torchless", price=1, steps_per_second=0.0),
    ]
    found = names(screening.screen(make.order(), machines, NOW))
    assert found == ["dear-fast", "cheap-slow", "free-unmeasured", "torchless"]


@given(st.permutations(["a", "b", "c", "d", "e"]))
def test_equal_machines_come_in_one_order_however_they_were_listed(make, listed):
    machines = [make.listing(name) for name in listed]
    assert names(screening.screen(make.order(), machines, NOW)) == ["a", "b", "c", "d", "e"]


@given(
    st.lists(
        st.tuples(st.integers(0, 8), st.integers(0, 3_000_000), st.integers(1, 16), st.booleans()),
        max_size=8,
    ),
    st.integers(1, 4),
    st.integers(0, 3_000_000) | st.none(),
    st.integers(0, 16),
)
def test_screening_keeps_exactly_what_meets_every_constraint(make, sold, devices, cap, cpus):
    machines = [
        make.listing(
            f"m{n}", devices=8, free=free, price=price, cpus=cores,
            is_open=up,
        )
        for n, (free, price, cores, up) in enumerate(sold)
    ]  # fmt: skip
    said = screening.screen(wants(make, devices=devices, cap=cap, cpus_min=cpus), machines, NOW)
    meets = {
        f"m{n}"
        for n, (free, price, cores, up) in enumerate(sold)
        if up and free >= devices and (cap is None or price <= cap) and cores >= cpus
    }
    assert set(names(said)) == meets
    assert bool(said.fits) != bool(said.why_not)
    keys = [rules.price_per_work(each) for each in said.fits]
    assert keys == sorted(keys)


# -- matching


@given(st.integers(1, 5), st.integers(0, 5), st.integers(0, 8), st.integers(0, 5))
def test_a_match_gives_all_that_is_lacking_or_nothing_below_the_minimum(
    make, low, more, there, held
):
    order = make.order(count_min=low, count_max=low + more)
    held = min(held, order.count_max)
    fits = tuple(make.listing(f"m{n}") for n in range(there))
    chosen = rules.match(order, held, replace(screening.screen(order, fits, NOW), why_not=""))
    assert held + len(chosen) <= order.count_max
    if chosen:
        assert held + len(chosen) >= order.count_min
        assert chosen == screening.screen(order, fits, NOW).fits[: len(chosen)]
    else:
        assert there == 0 or held == order.count_max or held + there < order.count_min


def test_a_gang_that_lost_one_member_gets_just_that_one_replaced(make):
    gang = make.order(count_min=4, count_max=4)
    fits = screening.screen(gang, [make.listing(f"m{n}") for n in range(6)], NOW)
    assert len(rules.match(gang, 0, fits)) == 4
    assert names(replace(fits, fits=rules.match(gang, 3, fits))) == ["m0"]
    assert rules.match(gang, 4, fits) == ()


# -- orders and leases


def test_every_state_is_in_its_table_and_every_close_has_its_number():
    assert set(ORDER_TRANSITIONS) == set(OrderState)
    assert set(LEASE_TRANSITIONS) == set(LeaseState)
    assert set(CLOSE_CODES) == set(CloseReason)
    assert len(set(CLOSE_CODES.values())) == len(CLOSE_CODES)
    assert {code // 1000 for code in CLOSE_CODES.values()} == {1, 2, 3}


@given(st.sampled_from(OrderState), st.integers(0, 5), st.floats(-1e6, 1e6))
def test_where_an_order_stands_is_always_a_place_it_may_go_to(make, state, held, later):
    order = make.order(state=state, count_min=2, count_max=3)
    after = rules.order_state(order, min(held, 3), make.NOW + 86_400 + later)
    assert after is state or after in ORDER_TRANSITIONS[state]


def test_an_order_has_matched_with_all_it_wants_and_opens_again_when_it_lost_one(make):
    order = make.order(count_min=1, count_max=3)
    assert rules.order_state(order, 2, make.NOW) is OrderState.OPEN
    assert rules.order_state(order, 3, make.NOW) is OrderState.MATCHED
    matched = replace(order, state=OrderState.MATCHED)
    assert rules.order_state(matched, 2, make.NOW) is OrderState.OPEN


def test_an_order_expires_only_with_nothing_held_and_not_before_its_time(make):
    order = make.order(count_max=2)
    assert rules.order_state(order, 0, order.expires_at - 0.001) is OrderState.OPEN
    assert rules.order_state(order, 0, order.expires_at) is OrderState.EXPIRED
    assert rules.order_state(order, 1, order.expires_at) is OrderState.OPEN


def test_an_order_that_lost_a_machine_after_a_day_looks_for_another_for_a_day_more(make):
    late = make.NOW + 3 * 86_400
    for state in (OrderState.MATCHED, OrderState.OPEN):
        again = rules.renewed(make.order(state=state), late)
        again = replace(again, state=rules.order_state(again, 0, late))
        assert again.state is OrderState.OPEN
        assert rules.order_state(again, 0, late + rules.ORDER_SECONDS_MAX - 1) is OrderState.OPEN
        assert rules.order_state(again, 0, late + rules.ORDER_SECONDS_MAX) is OrderState.EXPIRED


@pytest.mark.parametrize("state", [OrderState.CLOSED, OrderState.EXPIRED])
def test_an_order_that_is_over_stays_over(make, state):
    order = make.order(state=state)
    assert rules.order_state(order, 1, make.NOW) is state
    assert rules.renewed(order, make.NOW + 1e9) == order


def test_a_reservation_lapses_after_five_minutes_and_not_a_moment_before(make):
    lease = make.lease(state=LeaseState.RESERVED)
    assert rules.RESERVATION_SECONDS_MAX == 300
    assert not rules.has_lapsed(lease, make.NOW + 299.999)
    assert rules.has_lapsed(lease, make.NOW + 300)


@pytest.mark.parametrize("state", [s for s in LeaseState if s is not LeaseState.RESERVED])
def test_only_a_reservation_can_lapse(make, state):
    assert not rules.has_lapsed(make.lease(state=state), make.NOW + 1e9)


# -- proven time


def ms(lease, now, *, alive=True):
    return rules.proved(lease, now, alive=alive).proven_ms


def test_the_time_between_two_heartbeats_is_proven_by_the_second(make):
    assert ms(make.lease(), make.NOW + 5) == 5000


def test_a_gap_that_is_too_long_proves_nothing_of_the_time_between(make):
    lease = make.lease(proven_ms=7000)
    longest = make.NOW + rules.PROOF_GAP_SECONDS_MAX
    assert ms(lease, longest) == 7000 + 12_000
    assert ms(lease, longest + 0.001) == 7000


def test_a_dead_worker_and_a_lease_that_serves_nothing_prove_nothing(make):
    later = make.NOW + 5
    assert ms(make.lease(), later, alive=False) == 0
    assert ms(make.lease(proven_at=None), later) == 0
    for state in (LeaseState.RESERVED, LeaseState.CLOSED):
        assert ms(make.lease(state=state, proven_ms=3), later) == 3
    assert ms(make.lease(state=LeaseState.RECLAIMING), later) == 5000


def test_the_same_proof_twice_and_a_late_one_prove_nothing(make):
    lease = make.lease()
    assert ms(lease, make.NOW) == 0
    assert ms(lease, make.NOW - 3) == 0


@given(
    st.lists(st.tuples(st.floats(-20, 20), st.booleans()), max_size=60),
    st.floats(1e9, 2e9),
)
def test_proven_time_never_exceeds_the_time_that_passed(make, beats, start):
    lease = make.lease(active_at=start, proven_at=start)
    now = latest = start
    for step, alive in beats:
        now = max(start, now + step)
        latest = max(latest, now)
        lease = rules.proved(lease, now, alive=alive)
        assert 0 <= lease.proven_ms <= (latest - start) * 1000 + 1e-6


# -- an order's filter


@pytest.mark.parametrize(
    "where, why, hint",
    [
        ("price<=0.5", "where: price<=0.5: none of 2 machines", "has 1: loosen price<=0.5 in gondwana.where"),
        ("cpus>=4 price_per_tflop<=0.01", "where: price_per_tflop<=0.01: none", "the nearest has 0.05: loosen"),
        ("tflops>=100", "where: tflops>=100: none", "the nearest has 20: loosen"),
        ("sla>=datacentre", "where: sla>=datacentre: none", "the nearest has home: loosen"),
        ("region=mars", "where: region=mars: none", "there are: eu, home; change region=mars"),
        ("country=DE", "where: country=DE: none", "nobody knows it of any of them: take country=DE out"),
        ("tags has gdpr", "where: tags=gdpr: none", "they have none; change tags=gdpr"),
        ("machine=kowhai", "where: machine=kowhai: none", "gondwana offers names them"),
    ],
)  # fmt: skip
def test_the_term_of_a_filter_that_left_nothing_is_named_with_the_nearest_value(
    make, where, why, hint
):
    machines = [make.listing("kauri", tflops=20.0), make.listing("rimu", region="eu", price=2_000_000)]  # fmt: skip
    said = screening.screen(make.order(filters=where), machines, NOW)
    assert said.fits == ()
    assert why in said.why_not
    assert hint in said.hint


def test_a_price_in_a_filter_is_the_one_that_the_order_is_asked(make):
    sold = [make.listing("both", spot_floor_micro_usd_per_device_hour=300_000)]
    cheap = {"filters": "price<=0.5"}
    assert names(screening.screen(make.order(**cheap), sold, NOW)) == []
    assert names(screening.screen(make.order(mechanism=Mechanism.SPOT, **cheap), sold, NOW)) == [
        "both"
    ]


def test_an_order_whose_filter_cannot_be_read_any_more_fits_nothing_and_stops_nobody(make):
    assert names(screening.screen(make.order(filters="colour=red"), [make.listing()], NOW)) == []


@pytest.mark.parametrize(
    "text, mechanism, told",
    [
        ("prize<=1", "posted", "did you mean price"),
        ("price<=cheap", "posted", "At character 8: price<=▸cheap"),
        ("price<=1; drop table lease", "posted", "At character"),
        ("free>=2", "posted", "resources.accelerators"),
        ("price<=1", "auction", "price_cap_usd_per_gpu_hour"),
        ("region=eu price_per_tflop<=1", "auction", "price_cap_usd_per_gpu_hour"),
    ],
)
def test_a_filter_that_no_order_can_have_is_refused_with_its_place(text, mechanism, told):
    with pytest.raises(InvalidValue) as refused:
        check_where(text, Mechanism(mechanism))
    assert refused.value.fields["field"] == "gondwana.where"
    assert told in f"{refused.value.message} {refused.value.hint}"
    with pytest.raises(InvalidValue, match=r"^resources\.any_of\[0\]\.where: ") as refused:
        check_where(text, Mechanism(mechanism), "resources.any_of[0].where")
    assert refused.value.fields["field"] == "resources.any_of[0].where"
