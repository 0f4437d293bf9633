import pytest

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.core.values import replace
from gondwana.market.alternatives import check_alternatives, going_on, has_kinds, variants
from gondwana.market.model import Charge, LeaseState, Mechanism
from gondwana.wire.jobs import Accelerators, Alternative, Resources

H, A = Accelerators(name="H100", count=1), Accelerators(name="A100", count=2)
NOW = Instant(0.0)
KINDS = (
    Alternative(accelerators=(H,), cpus_min=8, where="region=eu"),
    Alternative(accelerators=(A,), memory_bytes_min=5),
)


@pytest.fixture
def order(make):
    wanted = Resources(accelerators=(H, A), alternatives=KINDS, is_ordered=True)
    return make.order(resources=wanted, devices=2, filters="price<=1")


def test_a_variant_is_the_same_order_with_one_alternatives_wishes(order):
    first, second = variants(order)
    assert (first.id, first.devices, first.filters) == (order.id, 1, "price<=1 region=eu")
    assert first.resources == Resources(accelerators=(H,), cpus_min=8)
    assert (second.devices, second.filters) == (2, "price<=1")
    assert second.resources == Resources(accelerators=(A,), memory_bytes_min=5)


def test_an_order_without_alternatives_is_its_only_variant(make):
    plain = make.order()
    assert variants(plain) == (plain,)


ANY = Resources(accelerators=(H, replace(A, count=1)), cpus_min=3, memory_bytes_min=7)


def test_several_models_of_which_any_will_do_are_kinds_of_a_gang_that_is_bought_at_once(make):
    gang = make.order(resources=ANY, count_min=2, count_max=2)
    assert has_kinds(gang)
    first, second = variants(gang)
    assert first.resources == replace(ANY, accelerators=ANY.accelerators[:1])
    assert second.resources == replace(ANY, accelerators=ANY.accelerators[1:])
    assert variants(first) == (first,)


@pytest.mark.parametrize("changes", [
    {"count_min": 1, "count_max": 1}, {"charge": Charge.UNIT}, {"mechanism": Mechanism.SPOT},
    {"mechanism": Mechanism.AUCTION}, {"starts_at": NOW, "lease_seconds": 60},
])  # fmt: skip
def test_they_are_one_kind_to_all_other_orders(make, changes):
    other = make.order(**{"resources": ANY, "count_min": 2, "count_max": 2, **changes})
    assert not has_kinds(other)
    assert variants(other) == (other,)


def test_an_alternative_whose_models_a_quota_took_away_is_none(order):
    left = replace(order, resources=replace(order.resources, accelerators=(A,)))
    assert [each.resources.accelerators for each in variants(left)] == [(A,)]


def test_what_replaces_a_machine_of_a_gang_has_as_many_devices_as_the_others(make, order):
    both = variants(order)
    live = make.lease(order_id=order.id, devices=2)
    assert going_on(both, [live], (), NOW) == [both[1]]
    over = replace(live, state=LeaseState.CLOSED)
    assert going_on(both, [over], (), NOW) == both


def test_what_replaces_a_machine_of_a_gang_is_of_the_same_alternative(make):
    kinds = tuple(
        Alternative(accelerators=(Accelerators(name=name, count=1),), where=where)
        for name, where in (("A100", ""), ("H100", "region=eu"), ("H100", "region=us"))
    )
    accelerators = tuple(one for each in kinds for one in each.accelerators)
    either = make.order(resources=Resources(accelerators=accelerators, alternatives=kinds))
    found, live = variants(either), make.lease(order_id=either.id, devices=1)
    there = make.listing(accelerator="H100", region="us", free=0)
    assert going_on(found, [live], [there], NOW) == [found[2]]
    changed = replace(there, region="mars")
    assert going_on(found, [live], [changed], NOW) == list(found[1:]), "its model is what is left"
    sold_no_more = replace(there, is_open=False)
    assert going_on(found, [live], [sold_no_more], NOW) == list(found[1:])
    other = replace(there, accelerator="L40S")
    assert going_on(found, [live], [other], NOW) == list(found), "as many devices is what is left"


@pytest.mark.parametrize(
    "mechanism, is_ahead",
    [(Mechanism.SPOT, False), (Mechanism.AUCTION, False), (Mechanism.POSTED, True)],
)
def test_alternatives_are_bought_at_once_and_at_posted_prices(order, mechanism, is_ahead):
    check_alternatives(order.resources, Mechanism.POSTED, is_ahead=False)
    with pytest.raises(InvalidValue) as refused:
        check_alternatives(order.resources, mechanism, is_ahead=is_ahead)
    assert refused.value.fields["field"] == "resources.ordered"
