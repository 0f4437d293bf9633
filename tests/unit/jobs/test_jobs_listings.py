import pytest

from gondwana.jobs.listings import to_listing
from gondwana.supply.model import MachineState, OfferState
from gondwana.wire.machines import MachineSpeed

GIB = 1024**3


def test_what_is_listed_is_what_was_measured(make):
    sold = make.supply(
        devices=2, free=1, price=7, inventory=make.inventory(accelerators=("H100",) * 2), epoch=4
    )
    listed = to_listing(sold)
    assert (listed.accelerator, listed.devices, listed.devices_free) == ("H100", 2, 1)
    assert (listed.cpus, listed.memory_bytes, listed.steps_per_second) == (8.0, 16 * GIB, 10.0)
    assert (listed.price_micro_usd_per_device_hour, listed.epoch) == (7, 4)


def test_the_owners_terms_take_from_what_the_machine_has_and_never_add(make):
    less = to_listing(make.supply(cpus_max=2.5, memory_bytes_max=GIB))
    assert (less.cpus, less.memory_bytes) == (2.5, GIB)
    more = to_listing(make.supply(cpus_max=99.0, memory_bytes_max=99 * GIB))
    assert (more.cpus, more.memory_bytes) == (8.0, 16 * GIB)


def test_a_machine_whose_speed_is_not_known_lists_none(make):
    for speed in (None, MachineSpeed()):
        listed = to_listing(make.supply(speed=speed))
        assert (listed.accelerator, listed.steps_per_second) == ("CPU", 0)


@pytest.mark.parametrize("machine", list(MachineState))
@pytest.mark.parametrize("offer", list(OfferState))
def test_only_an_open_offer_of_a_machine_that_is_up_is_open(make, machine, offer):
    listed = to_listing(make.supply(state=machine, offer_state=offer))
    assert listed.is_open is (machine is MachineState.UP and offer is OfferState.OPEN)
