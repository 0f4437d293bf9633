"""What is told of a job on a market too large to look at each offer is what is told on a small one."""

import pytest

from gondwana.jobs import admit, plans, shelf
from gondwana.ledger.chain import seal
from gondwana.market.plans.list_prices import packaged
from gondwana.wire.jobs import Accelerators, Resources


@pytest.fixture(params=["looks at each", "looks at some"])
def sized(request, make, make_database, make_world, monkeypatch):
    if request.param == "looks at some":
        monkeypatch.setattr(shelf, "LISTINGS_MAX", 0)
    world = make_world(make_database(before_commit=seal))
    for name, price in (("kauri", 200_000), ("rimu", 300_000), ("totara", 400_000)):
        world.join(name, price=price)
    for name, devices in (("miro", 2), ("matai", 4)):
        cards = make.inventory(accelerators=["L4"] * devices)
        world.join(name, price=500_000, devices=devices, inventory=cards)
    return world


def spec(make, **wanted):
    return make.spec(resources=Resources(**wanted))


@pytest.mark.parametrize("wanted, why", [
    ({"accelerators": (Accelerators(name="H100", count=1),)}, "accelerator H100: none of 5 machines"),
    ({"accelerators": (Accelerators(name="L4", count=8),)}, "8 L4 in one machine: none of 2 machines"),
    ({"cpus_min": 4_096.0}, "at least 4096 CPUs: none of 5 machines"),
])  # fmt: skip
def test_the_reason_why_nothing_fits_is_told_with_all_machines_counted(sized, make, wanted, why):
    seen = admit.look(sized.reader, sized.context.shelf, sized.tenant, spec(make, **wanted), sized.now)  # fmt: skip
    assert seen.fits == ()
    assert seen.why_not == why
    assert seen.hint


def test_what_fits_and_what_would_have_to_change_are_told_all_the_same(sized, make):
    def planned(**wanted):
        given = sized.reader, sized.context.shelf, packaged(), sized.tenant
        return plans.make(*given, spec(make, **wanted), sized.now)

    assert [each.name for each in planned().plan.machines] == ["kauri"]
    words = [each.words for each, _ in planned(cpus_min=4_096.0).relaxations]
    assert len(words) == 1
    assert words[0].startswith("ask for ")
