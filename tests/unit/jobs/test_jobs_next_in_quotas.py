"""Who is next to get room in quotas, and when nobody is."""

import pytest

from gondwana.core.clock import Instant
from gondwana.core.ids import PrincipalId
from gondwana.jobs.next_in_quotas import NextInQuotas
from gondwana.market.fairness import Holdings
from gondwana.market.keeping import AGED_SECONDS
from gondwana.market.model import Charge, Order, OrderState
from gondwana.policy.model import Quota
from gondwana.wire.jobs import Accelerators, Resources

NOW = Instant(1_800_000_000.0)


def order(name, *, tenant="a", project="", model="H100", devices=1, machines=1, age=AGED_SECONDS):
    return Order(
        id=name, job_id=f"job of {name}", tenant_id=tenant, project=project, priority=0,
        created_at=Instant(NOW - age), expires_at=Instant(NOW + 9e5), state=OrderState.OPEN,
        count_min=machines, count_max=machines, devices=devices, charge=Charge.SECOND,
        resources=Resources(accelerators=(Accelerators(name=model, count=devices),)),
        price_cap_micro_usd_per_device_hour=None,
    )  # fmt: skip


def quota(**limits):
    return Quota(tenant_id=PrincipalId("a"), set_by=PrincipalId("a"), set_at=NOW, **limits)


def holding(devices, jobs=1, model="H100"):
    found = Holdings({"H100": 100, "A100": 100})
    for number in range(jobs):
        found.add("a", "", {model: devices}, job_id=f"job {number}")
    return found


def noted(large, *quotas, held=None):
    found = NextInQuotas()
    found.note(large, quotas, held or holding(2), NOW)
    return found


@pytest.mark.parametrize("size", [{"devices": 2}, {"machines": 2}])
def test_what_a_quota_leaves_is_for_the_large_order_that_waited_and_for_nobody_else_of_its_account(
    size,
):
    large = order("large", **size)
    found = noted(large, quota(devices_max=2))
    assert "job of large" in found.why_not(order("small", age=9e9))
    assert found.why_not(large) == ""
    assert found.why_not(order("theirs", tenant="b")) == ""


@pytest.mark.parametrize(
    ("large", "limits"),
    [
        (order("small"), {"devices_max": 2}),
        (order("young", devices=2, age=AGED_SECONDS - 1), {"devices_max": 2}),
        (order("too large", devices=3), {"devices_max": 2}),
        (order("has room", devices=2), {"devices_max": 4}),
        (order("of another model", model="A100", devices=2), {"devices_max": 2, "model": "H100"}),
    ],
)  # fmt: skip
def test_who_is_small_or_came_late_or_has_room_or_never_will_keeps_nobody_waiting(large, limits):
    assert noted(large, quota(**limits)).why_not(order("small")) == ""


def test_only_orders_that_take_room_of_the_same_quota_wait():
    of_model = noted(order("large", devices=2), quota(devices_max=2, model="H100"))
    assert of_model.why_not(order("small"))
    assert of_model.why_not(order("any model", model=""))
    assert of_model.why_not(order("another model", model="A100")) == ""
    of_project = noted(
        order("large", devices=2, project="x"), quota(jobs_max=1, project="x"), held=_in_project("x")
    )  # fmt: skip
    assert of_project.why_not(order("small", project="x"))
    assert of_project.why_not(order("small", project="y")) == ""


def _in_project(project):
    found = Holdings({"H100": 100})
    found.add("a", project, {"H100": 1}, job_id="job 0")
    return found


def test_once_there_is_room_and_no_machine_nobody_waits_any_more():
    large, small, limit = order("large", devices=2), order("small"), quota(devices_max=2)
    held = holding(1, jobs=2)
    found = noted(large, limit, held=held)
    found.found_nothing(large)
    assert found.why_not(small)  # it was the quota
    assert not found.look({"a": [limit]}, held)
    for number in range(2):
        held.add("a", "", {"H100": 1}, job_id=f"job {number}", sign=-1)
    assert [found.look({"a": [limit]}, held) for _ in range(2)] == [True, False]  # it is news once
    found.found_nothing(small)
    assert found.why_not(small)
    found.found_nothing(large)
    assert found.why_not(small) == ""


def test_what_its_quota_will_never_allow_any_more_is_next_no_more():
    found = noted(order("large", devices=2), quota(devices_max=2))
    assert not found.look({"a": [quota(devices_max=1)]}, holding(2))
    assert found.why_not(order("small")) == ""


def test_the_first_that_is_noted_stays_next_until_it_is_over():
    found = noted(order("first", devices=2), quota(devices_max=2))
    found.note(order("second", devices=2), [quota(devices_max=2)], holding(2), NOW)
    assert "job of first" in found.why_not(order("second", devices=2))
    found.forget(lambda each: each.id == "first")
    assert found.why_not(order("second", devices=2)) == ""
