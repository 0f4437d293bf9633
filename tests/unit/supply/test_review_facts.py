"""What a hostile agent says of its machine never reaches the market as it is."""

from math import inf, nan

import msgspec
import pytest

from gondwana.api.views import offer_view
from gondwana.core.errors import InvalidValue
from gondwana.core.values import replace
from gondwana.jobs.listings import to_listing
from gondwana.market.rules import price_per_work
from gondwana.supply import rules
from gondwana.supply.model import TRANSITIONS, MachineState
from gondwana.wire.machines import Accelerator, MachineSpeed


@pytest.mark.parametrize("told", [nan, inf, -inf, -5.0, 0.0, 1e-320, 1e308])
def test_a_speed_is_a_number_one_can_reckon_with_or_none(make, told):
    speed = rules.measured(
        MachineSpeed(steps_per_second=told, matmul_gflops=told, torch="x" * 9999)
    )
    assert len(speed.torch) < 1000
    listing = to_listing(make.supply(speed=speed))
    unmeasured, ratio, *_ = price_per_work(listing)
    assert ratio >= 0
    assert msgspec.json.encode(offer_view(listing, make.NOW))
    assert unmeasured or 0 < listing.steps_per_second < 1e12


def test_an_inventory_is_of_a_size_that_fits_a_row(make):
    card = Accelerator(
        name="x" * 10_000, vendor="v" * 10_000, memory_bytes=2**63, uuid="u" * 10_000
    )
    told = replace(
        make.inventory(), cpu_model="m" * 1_000_000, cpu_count=-3, memory_bytes=-1, disk_free_bytes=2**63,
        accelerators=(card,) * 10_000,
    )  # fmt: skip
    kept = rules.bounded_inventory(told)
    assert len(msgspec.json.encode(kept)) < 100_000
    assert kept.cpu_count == kept.memory_bytes == 0
    assert len(kept.accelerators) == rules.DEVICES_MAX


def test_an_honest_inventory_is_kept_as_it_is(make):
    told = make.inventory(accelerators=("RTX4090", "RTX4090"))
    assert rules.bounded_inventory(told) == told


@pytest.mark.parametrize(
    "told, kept", [("sandbox", "sandbox"), ("plain", "plain"), ("x" * 99, "none")]
)
def test_an_isolation_that_nobody_knows_is_none(told, kept):
    assert rules.bounded_isolation(told) == kept


@pytest.mark.parametrize(
    "cpus_max, memory_max", [(nan, None), (inf, None), (-1.0, None), (None, -1), (None, 2**63)]
)
def test_terms_that_are_no_numbers_are_refused(cpus_max, memory_max):
    with pytest.raises(InvalidValue):
        rules.check_terms(1, 1, cpus_max=cpus_max, memory_bytes_max=memory_max)


@pytest.mark.parametrize("state", sorted(rules.SERVING))
def test_no_owner_pauses_a_machine_out_of_reach_of_a_suspension(state):
    assert MachineState.SUSPENDED in TRANSITIONS[state]
